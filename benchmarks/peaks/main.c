/*===- main.c - prints this machine's peaks, once or whenever asked -*- C -*-===*
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 *   peaks THREADS          every peak that this CPU has, the best of several repeats, as JSON
 *   peaks THREADS serve    after each line read from stdin that names peaks ("avx512_f32 read_4k") a few repeats of
 *                          those, as lists: so they can take turns with what they are compared to
 *
 * Operations or bytes a second of all threads together. Threads are not pinned: give it as many CPUs as threads.
 *===----------------------------------------------------------------------===*/
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "peaks.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* More than any cache is likely to hold of it, since it is read in order: 512 MiB in all. */
static const size_t kReadBytes = (size_t)512 << 20;
static const long kSteps = 400000; /* a few milliseconds */
enum { kRepeats = 9, kRepeatsAsked = 3, kMostThreads = 256 };

typedef struct {
  peak_kind kind;
  int index;
  double work;
} Part;

static int threads;
static char *memory[PEAK_COUNT]; /* of the kinds that read */
static pthread_barrier_t barrier;

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + 1e-9 * now.tv_nsec;
}

static double work(peak_kind kind, int index) {
  if (kind != PEAK_READ_4K && kind != PEAK_READ_2M)
    return peak_compute(kind, kSteps);
  size_t part = kReadBytes / threads & ~(size_t)1023;
  return peak_read(memory[kind] + index * part, part);
}

/* Memory of a kind that reads, made when it is first asked for. */
static void prepare(peak_kind kind) {
  if ((kind != PEAK_READ_4K && kind != PEAK_READ_2M) || memory[kind])
    return;
  memory[kind] = aligned_alloc((size_t)2 << 20, kReadBytes);
  if (!memory[kind])
    exit(3);
  madvise(memory[kind], kReadBytes, kind == PEAK_READ_2M ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  memset(memory[kind], 1, kReadBytes);
}

static void *runPart(void *argument) {
  Part *part = argument;
  pthread_barrier_wait(&barrier);
  part->work = work(part->kind, part->index);
  pthread_barrier_wait(&barrier);
  return NULL;
}

/* Units a second of all threads at once; the time is that of the slowest. */
static double rate(peak_kind kind) {
  pthread_t others[kMostThreads];
  Part parts[kMostThreads];
  double total = 0;
  pthread_barrier_init(&barrier, NULL, threads);
  for (int i = 0; i < threads; ++i)
    parts[i] = (Part){kind, i, 0};
  for (int i = 1; i < threads; ++i)
    if (pthread_create(&others[i], NULL, runPart, &parts[i]))
      exit(3);
  pthread_barrier_wait(&barrier);
  double start = seconds();
  parts[0].work = work(kind, 0);
  pthread_barrier_wait(&barrier);
  double elapsed = seconds() - start;
  for (int i = 1; i < threads; ++i)
    pthread_join(others[i], NULL);
  pthread_barrier_destroy(&barrier);
  for (int i = 0; i < threads; ++i)
    total += parts[i].work;
  return total / elapsed;
}

/* The peaks whose names stand in `wanted`, some repeats of each as a list; NULL: of all the best of many. */
static void print(const char *wanted) {
  const char *separator = "{";
  for (int kind = 0; kind < PEAK_COUNT; ++kind) {
    if ((wanted && !strstr(wanted, peak_name(kind))) || !peak_supported(kind))
      continue;
    prepare(kind);
    double best = 0;
    printf("%s\"%s\": %s", separator, peak_name(kind), wanted ? "[" : "");
    for (int i = 0; i < (wanted ? kRepeatsAsked : kRepeats); ++i) {
      double found = rate(kind);
      best = found > best ? found : best;
      if (wanted)
        printf("%s%.6g", i ? ", " : "", found);
    }
    if (wanted)
      printf("]");
    else
      printf("%.6g", best);
    separator = ", ";
  }
  puts(*separator == '{' ? "{}" : "}");
  fflush(stdout);
}

int main(int argc, char **argv) {
  threads = argc > 1 ? atoi(argv[1]) : 0;
  if (threads < 1 || threads > kMostThreads || argc > 3) {
    fprintf(stderr, "usage: peaks THREADS [serve]; 1 to %d threads\n", kMostThreads);
    return 2;
  }
  if (argc < 3) {
    print(NULL);
    return 0;
  }
  char line[256];
  while (fgets(line, sizeof line, stdin))
    print(line);
  return 0;
}

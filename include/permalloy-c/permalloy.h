/*===- permalloy.h - the C interface of the Permalloy runtime ------------------===*\
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                          *|
\*===--------------------------------------------------------------------------===*/
/*
 * Runs compiled models (model.alloy files). Link with libpermalloy_runtime.
 *
 *   permalloy_session *session;
 *   permalloy_status *status = permalloy_session_open("model.alloy", NULL, &session);
 *   if (status) { fprintf(stderr, "%s\n", permalloy_status_message(status)); ... }
 *   permalloy_tensor input = {.name = "x", .dtype = PERMALLOY_FLOAT32, .rank = 2,
 *                             .dims = {3, 384}, .data = values};
 *   permalloy_tensor output = {.name = "y"};            // data NULL: allocated by the run
 *   status = permalloy_session_run(session, &input, 1, &output, 1, NULL);
 *   ... output.dims, output.data ...
 *   permalloy_tensor_release(&output);
 *   permalloy_session_close(session);
 *
 * Conventions
 *   - A function that can fail returns NULL for success or a status to be freed with
 *     permalloy_status_release. Nothing is thrown and nothing aborts.
 *   - Strings are UTF-8 and NUL-terminated; those that a session hands out live as long as it.
 *   - Structs that may grow begin with `struct_size`, set by the caller to sizeof the struct.
 *   - All functions may be called from any thread. One session may be used by several threads at
 *     once; it must be closed by one, when no other call is in flight. Sessions survive fork().
 *   - The ABI version below changes when an existing declaration changes its meaning or layout.
 */
#ifndef PERMALLOY_C_PERMALLOY_H
#define PERMALLOY_C_PERMALLOY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(PERMALLOY_RUNTIME_BUILD)
#define PERMALLOY_API __attribute__((visibility("default")))
#else
#define PERMALLOY_API
#endif

/** Version of this interface. */
#define PERMALLOY_ABI_VERSION 3
/** Highest rank of a tensor. */
#define PERMALLOY_MAX_RANK 8

/** The library's version, "0.1.0". */
PERMALLOY_API const char *permalloy_version(void);
/** The PERMALLOY_ABI_VERSION that the library was built with. */
PERMALLOY_API uint32_t permalloy_abi_version(void);

/*===-- Status ----------------------------------------------------------------===*/

/** What kind of failure it is. */
typedef enum permalloy_status_code {
  PERMALLOY_OK = 0,
  PERMALLOY_INVALID_ARGUMENT = 1,  /**< wrong input, shape, name or option */
  PERMALLOY_NOT_FOUND = 2,         /**< no such file */
  PERMALLOY_IO_ERROR = 3,          /**< reading or writing failed */
  PERMALLOY_INVALID_ARTIFACT = 4,  /**< not a model.alloy, or truncated or altered */
  PERMALLOY_UNSUPPORTED = 5,       /**< another format version */
  PERMALLOY_UNSUPPORTED_CPU = 6,   /**< the file has no code for this CPU */
  PERMALLOY_OUT_OF_MEMORY = 7,     /**< memory could not be reserved */
  PERMALLOY_ASSUMPTION_FAILED = 8, /**< shapes that the model assumes cannot occur */
  PERMALLOY_INTERNAL = 9,          /**< a fault of Permalloy */
  PERMALLOY_TERMINATED = 10,       /**< permalloy_run_options.terminate was set */
  PERMALLOY_NO_DEVICE = 11,        /**< the GPU asked for is not there, or the file has no code for it */
  PERMALLOY_DEVICE_FAILED = 12     /**< the driver of a GPU reports a failure */
} permalloy_status_code;

/** A failure. NULL stands for success. */
typedef struct permalloy_status permalloy_status;

/** Code of a status; PERMALLOY_OK for NULL. */
PERMALLOY_API permalloy_status_code permalloy_status_get_code(const permalloy_status *status);
/** Message of a status, owned by it; "" for NULL. */
PERMALLOY_API const char *permalloy_status_message(const permalloy_status *status);
/** Frees a status; NULL is allowed. */
PERMALLOY_API void permalloy_status_release(permalloy_status *status);

/*===-- Tensors ---------------------------------------------------------------===*/

/** Element types, with the numbers of ONNX's TensorProto.DataType. Bool is one byte, 0 or 1. */
typedef enum permalloy_dtype {
  PERMALLOY_UNDEFINED = 0,
  PERMALLOY_FLOAT32 = 1,
  PERMALLOY_UINT8 = 2,
  PERMALLOY_INT8 = 3,
  PERMALLOY_UINT16 = 4,
  PERMALLOY_INT16 = 5,
  PERMALLOY_INT32 = 6,
  PERMALLOY_INT64 = 7,
  PERMALLOY_BOOL = 9,
  PERMALLOY_FLOAT16 = 10,
  PERMALLOY_FLOAT64 = 11,
  PERMALLOY_UINT32 = 12,
  PERMALLOY_UINT64 = 13,
  PERMALLOY_BFLOAT16 = 16
} permalloy_dtype;

/** Bytes of one element, 0 for an unknown type. */
PERMALLOY_API size_t permalloy_dtype_size(permalloy_dtype dtype);
/** numpy's name of the type, "float32"; "undefined" for an unknown one. */
PERMALLOY_API const char *permalloy_dtype_name(permalloy_dtype dtype);

/** Whose memory it is, with DLPack's numbers. */
typedef enum permalloy_device_type {
  PERMALLOY_CPU = 0, /**< this process' memory (DLPack's 1 is taken, too) */
  PERMALLOY_CUDA = 2 /**< an NVIDIA GPU's */
} permalloy_device_type;

/** A tensor. */
typedef struct permalloy_tensor {
  /** Which input or output; NULL: the one with this tensor's number in its array. */
  const char *name;
  /** Inputs: set by the caller. Outputs: set by the run. */
  permalloy_dtype dtype;
  int32_t rank;
  int64_t dims[PERMALLOY_MAX_RANK];
  /** Inputs: the elements, aligned to their type (no more is needed); only read.
   *  Outputs: the caller's memory, which may not overlap an input's, or NULL for memory that the
   *  run allocates. */
  void *data;
  /** Outputs with the caller's memory: its size in bytes. Otherwise ignored. */
  size_t capacity;
  /** Outputs, set by the run: 1 when the tensor is to be freed with permalloy_tensor_release. */
  int32_t owned;
  /** 0: the elements are dense and row-major. 1: `strides` says how they lie. Inputs: set by the
   *  caller; strided ones are copied where they are no view of a cache. Outputs: set by the run. */
  int32_t strided;
  /** Elements (not bytes) between neighbours of each axis. */
  int64_t strides[PERMALLOY_MAX_RANK];
  /** Outputs, set by the run: what keeps `data` alive where it is a view of a cache or large memory that goes back
   *  to the session; else NULL. */
  void *owner;
  /** Whose memory `data` is or, of an output whose data is NULL, shall be: with PERMALLOY_CUDA, that of the GPU the session runs
   *  on. There tensors are dense, but for caches. A run waits for work of the legacy default stream, and is done when it returns. */
  int32_t device_type; /**< permalloy_device_type */
  int32_t device_id;   /**< number of the GPU */
} permalloy_tensor;

/** Frees what a run allocated for an output (64-byte aligned) or lets go of its `owner`, and sets `data` to NULL. */
PERMALLOY_API void permalloy_tensor_release(permalloy_tensor *tensor);
/** Frees `data` of an output with `owned` set and no `owner`, for callers that have moved it out of
 *  its tensor. */
PERMALLOY_API void permalloy_data_release(void *data);
/** Lets go of the `owner` of an output, for callers that have moved it out of its tensor. */
PERMALLOY_API void permalloy_owner_release(void *owner);

/*===-- Sessions --------------------------------------------------------------===*/

/** An opened model. */
typedef struct permalloy_session permalloy_session;

/** How to open a model. Zero everything but struct_size for the defaults. */
typedef struct permalloy_session_options {
  size_t struct_size;
  /** Threads of a run, the calling one included; 0: as many as the cpuset and cgroup allow. */
  int32_t threads;
  /** 1: inaccessible pages behind every buffer, to find kernels that overrun. Slow. */
  int32_t guard_buffers;
  /** Where it computes: NULL or "cpu", or a GPU, "cuda:0". */
  const char *device;
  /** NULL, or on a GPU your stream (CUstream or cudaStream_t) of its primary context, which must
   *  outlive its runs and is not being captured into a graph. Runs put all their work into it, so tensors may be the result of what is in
   *  it, and are done when they return. Without one a run waits for the legacy default stream. */
  void *stream;
} permalloy_session_options;

/** Opens the file at `path`, checks it, and loads its code for this CPU or the GPU in `options`, which may be NULL. */
PERMALLOY_API permalloy_status *permalloy_session_open(const char *path,
                                                       const permalloy_session_options *options,
                                                       permalloy_session **session);
/** The same from memory, which is copied. */
PERMALLOY_API permalloy_status *
permalloy_session_open_memory(const void *data, size_t size,
                              const permalloy_session_options *options,
                              permalloy_session **session);
/** Frees a session; NULL is allowed. */
PERMALLOY_API void permalloy_session_close(permalloy_session *session);

/** How to run. */
typedef struct permalloy_run_options {
  size_t struct_size;
  /** NULL, or room for the wall time of each step in nanoseconds. */
  int64_t *step_nanoseconds;
  /** Entries of step_nanoseconds; must be permalloy_session_step_count. */
  size_t step_count;
  /** NULL, or a flag that another thread may set to something other than 0 while the run is under
   *  way: the run then ends before its next step with PERMALLOY_TERMINATED. */
  const int32_t *terminate;
  /** NULL, or a profile of this session: the run adds when each of its steps and threads worked. */
  struct permalloy_profile *profile;
} permalloy_run_options;

/**
 * Runs the model. Every input must be given once. `outputs` may be some of the outputs, in any
 * order; each gets its dtype, rank and dims, and its data where that was NULL. All shapes are
 * checked before anything is computed, but for sizes that depend on data; on failure no output owns
 * memory, and what the caller brought has undefined contents. `options` may be NULL.
 * Calls at the same time on one session are safe; those that find its threads busy run on their own
 * calling thread. The bits of a result do not depend on the number of threads.
 */
PERMALLOY_API permalloy_status *permalloy_session_run(permalloy_session *session,
                                                      const permalloy_tensor *inputs,
                                                      size_t input_count,
                                                      permalloy_tensor *outputs,
                                                      size_t output_count,
                                                      const permalloy_run_options *options);

/** Fills dtype, rank and dims of `outputs` for these inputs, whose `data` is not looked at; fails
 *  for a model with an output whose size depends on data. */
PERMALLOY_API permalloy_status *permalloy_session_infer_shapes(permalloy_session *session,
                                                               const permalloy_tensor *inputs,
                                                               size_t input_count,
                                                               permalloy_tensor *outputs,
                                                               size_t output_count);

/*===-- Caches ----------------------------------------------------------------===*/

/*
 * The past keys and values of a decoder are caches where the compiler saw that a step only adds
 * rows to them: pairs of an input (past) and an output (present) of shape [batch, heads, length,
 * size]. Two forms use them without copying the past at every step.
 *
 * Drop-in: outputs with `data` NULL come back as strided views of a buffer of the session with rows
 * to spare. Given back unchanged as inputs of the next run (all of one run together), the new rows
 * are appended in place. Views stay valid and keep their contents until released, even after the
 * session was closed. Anything else that is given as past is copied into a new buffer: other
 * memory, a part of a view, views of different runs, a second continuation of the same views.
 *
 * State: permalloy_state_run keeps the past itself; inputs and outputs of caches are left out.
 *
 * A buffer has room for `capacity` rows, batch * capacity * (bytes of one row of all caches) in
 * all. A new buffer that must hold n rows gets 1.5 n, rounded up to 64, at most as many as the model
 * takes; a full one is replaced by such a buffer, and its rows copied.
 */

/** Number of caches, 0 when the model has none. */
PERMALLOY_API size_t permalloy_session_cache_count(const permalloy_session *session);
/** The input and output that are cache `index`, as indices; fails when it is out of range. */
PERMALLOY_API permalloy_status *permalloy_session_cache(const permalloy_session *session,
                                                        size_t index, size_t *input,
                                                        size_t *output);

/** The caches of a batch of sequences. Used by one run at a time. */
typedef struct permalloy_state permalloy_state;

/** Makes an empty state for `batch` sequences with room for `capacity` rows; 0 leaves that to the
 *  session. It must be released before the session is closed. */
PERMALLOY_API permalloy_status *permalloy_state_create(permalloy_session *session, int64_t batch,
                                                       int64_t capacity, permalloy_state **state);
/** permalloy_session_run with the past of `state`, which grows by the run's rows. A run that fails
 *  leaves the state as it was. */
PERMALLOY_API permalloy_status *permalloy_state_run(permalloy_state *state,
                                                    const permalloy_tensor *inputs,
                                                    size_t input_count, permalloy_tensor *outputs,
                                                    size_t output_count,
                                                    const permalloy_run_options *options);
/** Fills a state with past keys and values, in place of what it held: `inputs` are the model's
 *  inputs that are caches, all of them and no others, of the same length. They are copied. */
PERMALLOY_API permalloy_status *permalloy_state_load(permalloy_state *state,
                                                     const permalloy_tensor *inputs,
                                                     size_t input_count);
/** Rows that the state holds, and those it has room for. */
PERMALLOY_API int64_t permalloy_state_length(const permalloy_state *state);
PERMALLOY_API int64_t permalloy_state_capacity(const permalloy_state *state);
/** Sequences that the state was made for. */
PERMALLOY_API int64_t permalloy_state_batch(const permalloy_state *state);
/** Bytes of its buffers: batch * capacity * bytes of a row of all caches. */
PERMALLOY_API uint64_t permalloy_state_bytes(const permalloy_state *state);
/** Goes back to its first `length` rows; fails when it has fewer. */
PERMALLOY_API permalloy_status *permalloy_state_truncate(permalloy_state *state, int64_t length);
/** Forgets all rows; the memory is kept. */
PERMALLOY_API permalloy_status *permalloy_state_reset(permalloy_state *state);
/** Frees a state; NULL is allowed. */
PERMALLOY_API void permalloy_state_release(permalloy_state *state);

/*===-- What a model takes and gives ------------------------------------------===*/

/** An input or output. */
typedef struct permalloy_tensor_info {
  size_t struct_size;
  const char *name;
  permalloy_dtype dtype;
  int32_t rank;
  /** Sizes; -1 where they depend on the inputs. */
  int64_t dims[PERMALLOY_MAX_RANK];
  /** Sizes as text: "384", "batch", "past + seq". */
  const char *dim_texts[PERMALLOY_MAX_RANK];
} permalloy_tensor_info;

/** A named size that varies at run time. */
typedef struct permalloy_symbol_info {
  size_t struct_size;
  const char *name;
  int64_t min;
  int64_t max; /**< inclusive; INT64_MAX: no limit */
} permalloy_symbol_info;

PERMALLOY_API size_t permalloy_session_input_count(const permalloy_session *session);
PERMALLOY_API size_t permalloy_session_output_count(const permalloy_session *session);
PERMALLOY_API size_t permalloy_session_symbol_count(const permalloy_session *session);
/** Fills `info`; fails when `index` is out of range. */
PERMALLOY_API permalloy_status *permalloy_session_input(const permalloy_session *session,
                                                        size_t index,
                                                        permalloy_tensor_info *info);
PERMALLOY_API permalloy_status *permalloy_session_output(const permalloy_session *session,
                                                         size_t index,
                                                         permalloy_tensor_info *info);
PERMALLOY_API permalloy_status *permalloy_session_symbol(const permalloy_session *session,
                                                         size_t index,
                                                         permalloy_symbol_info *info);

/**
 * A text about the model, or NULL for an unknown key: "producer_name", "producer_version",
 * "graph_name", "graph_description", "domain", "description", "version", "ir_version";
 * "opset.<domain>" ("opset." is ai.onnx); "custom.<key>" for the model's own metadata;
 * "compiler", "compiler_version", "compile_options" of the file; "target", the code in use.
 */
PERMALLOY_API const char *permalloy_session_metadata(const permalloy_session *session,
                                                     const char *key);
/** Number of entries, and the key and value of entry `index` (NULL when out of range). */
PERMALLOY_API size_t permalloy_session_metadata_count(const permalloy_session *session);
PERMALLOY_API const char *permalloy_session_metadata_key(const permalloy_session *session,
                                                         size_t index);
PERMALLOY_API const char *permalloy_session_metadata_value(const permalloy_session *session,
                                                           size_t index);

/*===-- What a session does ---------------------------------------------------===*/

/** One step of the program: a kernel launch, a copy, a jump, or the binding of a size. */
typedef struct permalloy_step_info {
  size_t struct_size;
  const char *name;   /**< the model's node names */
  const char *kernel; /**< of a launch; else "copy", "jump" or "bind size" */
} permalloy_step_info;

/** Where the session computes: "cpu" or "cuda:0". */
PERMALLOY_API const char *permalloy_session_device(const permalloy_session *session);
/** How often runs so far went to a GPU as the launch of one graph, and how many nodes of graphs were
 *  set anew for that; zeros on the CPU. */
PERMALLOY_API void permalloy_session_graphs(const permalloy_session *session, uint64_t *launches,
                                            uint64_t *nodes_set);
/** Threads of a run. */
PERMALLOY_API int32_t permalloy_session_threads(const permalloy_session *session);
PERMALLOY_API size_t permalloy_session_kernel_count(const permalloy_session *session);
/** Name of a kernel, NULL when out of range. */
PERMALLOY_API const char *permalloy_session_kernel_name(const permalloy_session *session,
                                                        size_t index);
PERMALLOY_API size_t permalloy_session_step_count(const permalloy_session *session);
PERMALLOY_API permalloy_status *permalloy_session_step(const permalloy_session *session,
                                                       size_t index, permalloy_step_info *info);
/** Reads all weights and compares their checksums, which opening does not. */
PERMALLOY_API permalloy_status *permalloy_session_verify_weights(const permalloy_session *session);

/**
 * When the steps of runs happened. Give it to runs by permalloy_run_options.profile, also to several
 * at once, and write it as a Chrome trace, which ui.perfetto.dev opens: an event a run and step with
 * the model's node names, kernel, sizes, operations, bytes and rates, and the parts of other threads.
 */
typedef struct permalloy_profile permalloy_profile;

/** Makes an empty profile; it may outlive the session. */
PERMALLOY_API permalloy_status *permalloy_profile_create(const permalloy_session *session,
                                                         permalloy_profile **profile);
/** Writes what it holds as JSON to `path`. The profile stays as it is. */
PERMALLOY_API permalloy_status *permalloy_profile_write(const permalloy_profile *profile,
                                                        const char *path);
/** Frees a profile, which no run may be using; NULL is allowed. */
PERMALLOY_API void permalloy_profile_release(permalloy_profile *profile);

/*===-- The machine -----------------------------------------------------------===*/

/** CPUs this process may use: its cpuset cut by its cgroup's quota. */
PERMALLOY_API int32_t permalloy_available_cpus(void);
/** Space-separated features of this CPU that its system lets programs use, "avx2 fma ...". */
PERMALLOY_API const char *permalloy_cpu_features(void);

/** A GPU. */
typedef struct permalloy_gpu_info {
  size_t struct_size;
  char name[128];              /**< "NVIDIA H100 80GB HBM3" */
  int32_t major, minor;        /**< compute capability */
} permalloy_gpu_info;

/** Number of GPUs that NVIDIA's driver shows to this process; where there is none, a failure says why. */
PERMALLOY_API permalloy_status *permalloy_gpu_count(size_t *count);
/** Fills `info` for cuda:`index`; fails when it is out of range. */
PERMALLOY_API permalloy_status *permalloy_gpu(size_t index, permalloy_gpu_info *info);
/** Memory of cuda:`index`, aligned to 256 bytes; freed with permalloy_owner_release(owner). */
PERMALLOY_API permalloy_status *permalloy_gpu_allocate(size_t index, size_t bytes, void **data, void **owner);
/** Waits for the work of the legacy default stream of cuda:`index`. */
PERMALLOY_API permalloy_status *permalloy_gpu_wait(size_t index);
/** Copies `bytes` between `data` of two tensors, of which the other members but the devices do not matter: from or to the host,
 *  or within one GPU. Done when it returns; work of the legacy default stream is done before. */
PERMALLOY_API permalloy_status *permalloy_copy(const permalloy_tensor *to, const permalloy_tensor *from, size_t bytes);

#ifdef __cplusplus
} // extern "C"
#endif

#endif /* PERMALLOY_C_PERMALLOY_H */

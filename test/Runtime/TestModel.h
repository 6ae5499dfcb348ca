//===- TestModel.h - small artifacts without the compiler --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TEST_RUNTIME_TESTMODEL_H
#define PERMALLOY_TEST_RUNTIME_TESTMODEL_H

#include "permalloy/Artifact/Expressions.h"
#include "permalloy/Artifact/Writer.h"
#include "permalloy/Runtime/Session.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace permalloy::test {

/// The whole of a file.
std::vector<std::byte> readFile(const std::string &path);
void writeFile(const std::string &path, const std::vector<std::byte> &bytes);

/// A path in a directory of this process, removed at exit.
std::string scratchPath(const std::string &name);

/// Virtual addresses of `names` in an ELF image's dynamic symbols.
std::vector<uint64_t> entryPoints(const std::vector<std::byte> &elf,
                                  const std::vector<std::string> &names);

/// Columns of the model's rows.
constexpr int64_t kColumns = 8;

/// The model of most tests. Symbols batch (0..8) and seq (1..512); inputs x [batch, seq, 8] f32 and
/// m [batch, seq] f32; outputs y = (x * w + b) * m, s [batch, seq] = row sums of x * w + b, and c =
/// x.
artifact::ArtifactContents tinyModel();

/// A model x [n] f32 -> y [n] f32 of one launch of `kernel` with these scalar constants, n
/// in 1..4096.
artifact::ArtifactContents oneKernelModel(const std::string &kernel,
                                          const std::vector<int64_t> &scalars);

/// A model with two caches. Symbols batch (0..8), past (0..200) and seq (1..200); inputs x [batch, 2,
/// seq, 4], past.k and past.v [batch, 2, past, 4]; outputs y [batch, 2, 4] = sum over the rows of k +
/// (row + 1) * v, present.k and present.v, to both of which x is appended.
artifact::ArtifactContents cacheModel();

/// y [size] = the first `size` elements of x [n], or of z [n] when `flag` is not 0; `size` is the
/// value of the input `count`. Symbols n (1..4096), size and other, which are bound in this order
/// to the same value.
artifact::ArtifactContents firstElements();

/// Writes `contents` to a scratch file and gives its bytes; fails the test on an error.
std::vector<std::byte> artifactBytes(artifact::ArtifactContents contents);

/// Opens a session on `contents`; fails the test on an error.
std::unique_ptr<Session> openSession(artifact::ArtifactContents contents,
                                     const SessionOptions &options = {});

/// Inputs of tinyModel with values that depend on `seed`, and what must come out.
struct TinyCase {
  TinyCase(int64_t batch, int64_t seq, int seed = 0);
  std::vector<InputTensor> inputs() const;
  /// Runs the session and compares all outputs bit for bit; true when equal.
  bool runsRight(Session &session) const;

  int64_t batch, seq;
  std::vector<float> x, m, y, s;
};

} // namespace permalloy::test

#endif // PERMALLOY_TEST_RUNTIME_TESTMODEL_H

//===- WireSkim.h - large tensors out of the way of protobuf -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Protobuf copies every byte string that it parses and takes at most 2 GB. The skim walks the wire
// format of a mapped model first and writes a small copy of it in which the bytes of each large
// tensor are replaced by the index of a region:
//
//   TensorProto { dims: 384, 384  data_type: 1  raw_data: <589824 bytes> }
//   TensorProto { dims: 384, 384  data_type: 1  permalloy_region: 7 }        regions[7] = {offset
//   in the file, 589824}
//
// Packed float_data and double_data are little-endian elements as well and are treated in the same
// way. The field `permalloy_region` is ours alone: in the input it is dropped. Also dropped is what
// the importer never reads: documentation, metadata of nodes and values (exporters leave stack
// traces there), value_info, training.
//
// Input is not trusted: every length is checked against its enclosing message, depth is limited,
// nothing is allocated from a length that the file merely claims.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_IMPORT_WIRESKIM_H
#define PERMALLOY_LIB_IMPORT_WIRESKIM_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace permalloy {

/// Bytes of the model file.
struct FileRegion {
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

struct SkimmedModel {
  std::string bytes;               ///< a small ModelProto
  std::vector<FileRegion> regions; ///< what `permalloy_region - 1` counts
};

/// Tensors of more bytes than this are left in the file.
inline constexpr uint64_t kInlineBytes = 1024;

/// Skims the bytes of a ModelProto; the error names the byte offset at which the file is damaged.
llvm::Expected<SkimmedModel> skimModel(llvm::StringRef model);

} // namespace permalloy

#endif

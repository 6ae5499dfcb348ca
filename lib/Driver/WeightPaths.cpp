//===- WeightPaths.cpp - files of weights beside MLIR text -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "WeightPaths.h"

#include "Tfm/Tfm.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

namespace permalloy {

namespace path = llvm::sys::path;

static void mapWeightPaths(mlir::ModuleOp module,
                           llvm::function_ref<std::string(llvm::StringRef)> map) {
  for (auto weight : module.getOps<tfm::WeightOp>()) {
    auto file = llvm::dyn_cast_if_present<tfm::FileAttr>(weight.getSource().value_or(nullptr));
    if (!file)
      continue;
    std::string name = map(file.getPath().getValue());
    if (name != file.getPath().getValue())
      weight.setSourceAttr(tfm::FileAttr::get(module.getContext(),
                                              mlir::StringAttr::get(module.getContext(), name),
                                              file.getOffset(), file.getBytes(), file.getHash()));
  }
}

/// The folder of `name`, absolute and without links.
static llvm::SmallString<256> folderOf(llvm::StringRef name) {
  llvm::SmallString<256> folder = path::parent_path(name), real;
  if (folder.empty())
    folder = ".";
  return llvm::sys::fs::real_path(folder, real) ? folder : real;
}

void resolveWeightPaths(mlir::ModuleOp module, llvm::StringRef textPath) {
  llvm::SmallString<256> folder = folderOf(textPath);
  mapWeightPaths(module, [&](llvm::StringRef name) -> std::string {
    llvm::SmallString<256> beside = folder;
    path::append(beside, name);
    return path::is_relative(name) && llvm::sys::fs::exists(beside) ? beside.str().str()
                                                                    : name.str();
  });
}

void relateWeightPaths(mlir::ModuleOp module, llvm::StringRef textPath) {
  llvm::SmallString<256> folder = folderOf(textPath);
  folder += path::get_separator();
  mapWeightPaths(module, [&](llvm::StringRef name) -> std::string {
    llvm::SmallString<256> whole = folderOf(name);
    path::append(whole, path::filename(name));
    llvm::StringRef rest = whole;
    return rest.consume_front(folder) ? rest.str() : whole.str().str();
  });
}

} // namespace permalloy

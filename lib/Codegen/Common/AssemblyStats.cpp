//===- AssemblyStats.cpp - innermost loops in assembly text -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/Common/AssemblyStats.h"

#include "llvm/ADT/ArrayRef.h"

#include <algorithm>

using namespace permalloy::codegen;
using llvm::StringRef;

static bool isInstruction(StringRef line) {
  return line.starts_with("\t") && !line.starts_with("\t.") && !line.trim().starts_with("#");
}

static InnerLoop countLoop(llvm::ArrayRef<StringRef> lines) {
  InnerLoop loop;
  for (StringRef line : lines) {
    if (!isInstruction(line))
      continue;
    ++loop.instructions;
    StringRef code = line.trim();
    loop.fmas += code.starts_with("vfmadd") || code.starts_with("vfnmadd");
    loop.loads += code.starts_with("vmovups") || code.starts_with("vmovaps") ||
                  code.starts_with("vbroadcastss");
    if (!line.contains("Spill") && !line.contains("Reload"))
      continue;
    ++loop.spills;
    loop.vectorSpills += code.starts_with("v");
  }
  return loop;
}

llvm::SmallVector<InnerLoop> permalloy::codegen::innermostLoops(StringRef assembly) {
  llvm::SmallVector<StringRef> lines;
  assembly.split(lines, '\n');
  llvm::SmallVector<InnerLoop> result;
  size_t header = 0; // line of the last label
  for (size_t index = 0; index < lines.size(); ++index) {
    StringRef line = lines[index];
    if (line.starts_with(".L") && line.contains(':'))
      header = index;
    if (!line.contains("Inner Loop Header"))
      continue;
    // The loop ends with the jump back to its label.
    StringRef label = lines[header].split(':').first;
    auto jumpsBack = [&](StringRef text) {
      return isInstruction(text) && text.trim().starts_with("j") &&
             text.split('#').first.rtrim().ends_with(("\t" + label).str());
    };
    auto last = std::find_if(lines.begin() + index, lines.end(), jumpsBack);
    if (last != lines.end())
      result.push_back(countLoop(llvm::ArrayRef<StringRef>(lines.begin() + header, last + 1)));
  }
  return result;
}

CodeStatistics permalloy::codegen::codeStatistics(StringRef assembly) {
  CodeStatistics statistics;
  llvm::SmallVector<StringRef> lines;
  assembly.split(lines, '\n');
  for (StringRef line : lines)
    statistics.instructions += isInstruction(line);
  for (const InnerLoop &loop : innermostLoops(assembly))
    statistics.spills += loop.spills;
  return statistics;
}

//===- Ptxas.cpp - NVIDIA's assembler as a child process --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/GPU/PtxEmission.h"
#include "permalloy/Support/Files.h"

#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Regex.h"

#include <cstring>

using namespace permalloy;
using namespace permalloy::codegen;
using llvm::Expected;
using llvm::StringRef;

std::optional<std::string> permalloy::codegen::findCudaTool(StringRef name) {
  if (auto found = llvm::sys::findProgramByName(name))
    return *found;
  std::vector<std::string> folders;
  for (const char *variable : {"CUDA_HOME", "CUDA_PATH"})
    if (auto home = llvm::sys::Process::GetEnv(variable))
      folders.push_back(*home + "/bin");
  folders.push_back("/usr/local/cuda/bin");
  for (StringRef folder : folders)
    if (auto found = llvm::sys::findProgramByName(name, {folder}))
      return *found;
  return std::nullopt;
}

std::optional<std::string> permalloy::codegen::findPtxas() {
  if (auto named = llvm::sys::Process::GetEnv("PERMALLOY_PTXAS"))
    return named->empty() ? std::nullopt : named;
  return findCudaTool("ptxas");
}

/// The number before `words` in what `ptxas -v` prints: "0 bytes spill stores".
static unsigned numberBefore(StringRef log, StringRef words) {
  llvm::SmallVector<StringRef> groups;
  unsigned value = 0;
  if (llvm::Regex(("([0-9]+) " + words).str()).match(log, &groups))
    groups[1].getAsInteger(10, value);
  return value;
}

static Expected<std::string> contentsOf(StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return llvm::createStringError("ptxas left no '" + path + "': " + buffer.getError().message());
  return (*buffer)->getBuffer().str();
}

std::optional<std::string> permalloy::codegen::ptxasVersion(StringRef ptxas) {
  Result<TempFolder> folder = TempFolder::create();
  if (!folder.ok())
    return std::nullopt;
  std::string log = folder->file("log");
  std::optional<StringRef> redirects[] = {StringRef(), StringRef(log), StringRef(log)};
  if (llvm::sys::ExecuteAndWait(ptxas, {ptxas, "--version"}, std::nullopt, redirects) != 0)
    return std::nullopt;
  auto said = contentsOf(log);
  if (said)
    return *said;
  llvm::consumeError(said.takeError());
  return std::nullopt;
}

Expected<Cubin> permalloy::codegen::assemblePtx(StringRef ptx, const GpuTarget &target, StringRef ptxas) {
  Result<TempFolder> folder = TempFolder::create();
  if (!folder.ok())
    return llvm::createStringError("no temporary folder for ptxas: " + folder.status().message());
  std::string input = folder->file("kernel.ptx"), output = folder->file("kernel.cubin"), log = folder->file("log");
  if (Status status = writeFile(input, ptx.str()); !status.ok())
    return llvm::createStringError(status.message());
  std::optional<StringRef> redirects[] = {StringRef(), StringRef(log), StringRef(log)};
  StringRef arguments[] = {ptxas, "-v", "-arch", target.name, input, "-o", output};
  std::string message;
  int code = llvm::sys::ExecuteAndWait(ptxas, arguments, std::nullopt, redirects, 0, 0, &message);
  auto said = contentsOf(log);
  if (!said)
    return said.takeError();
  if (code != 0)
    return llvm::createStringError("'" + ptxas + "' failed for " + target.name + ": " + message + StringRef(*said).take_front(500).trim());
  auto bytes = contentsOf(output);
  if (!bytes)
    return bytes.takeError();
  Cubin cubin;
  cubin.bytes.assign(bytes->begin(), bytes->end());
  llvm::SmallVector<StringRef> groups;
  if (llvm::Regex("Used ([0-9]+) registers").match(*said, &groups))
    groups[1].getAsInteger(10, cubin.report.registers);
  cubin.report.spillBytes = numberBefore(*said, "bytes spill stores") + numberBefore(*said, "bytes spill loads");
  return cubin;
}

namespace {
/// How a packed GpuCode begins; PTX and cubin follow.
struct Head {
  uint32_t registers, spillBytes;
  uint64_t ptxBytes;
};
} // namespace

llvm::SmallVector<char, 0> GpuCode::pack() const {
  Head head{cubin.report.registers, cubin.report.spillBytes, ptx.size()};
  auto *first = reinterpret_cast<const char *>(&head);
  llvm::SmallVector<char, 0> bytes(first, first + sizeof(head));
  bytes.append(ptx.begin(), ptx.end());
  bytes.append(cubin.bytes.begin(), cubin.bytes.end());
  return bytes;
}

std::optional<GpuCode> GpuCode::unpack(llvm::ArrayRef<char> bytes) {
  Head head;
  if (bytes.size() < sizeof(head))
    return std::nullopt;
  std::memcpy(&head, bytes.data(), sizeof(head));
  bytes = bytes.drop_front(sizeof(head));
  if (head.ptxBytes > bytes.size())
    return std::nullopt;
  GpuCode code;
  code.ptx.assign(bytes.data(), head.ptxBytes);
  code.cubin.bytes.assign(bytes.begin() + head.ptxBytes, bytes.end());
  code.cubin.report = {head.registers, head.spillBytes};
  return code;
}

//===- Disassemble.cpp - a code image as text --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Disassemble.h"

#include "llvm/MC/MCAsmInfo.h"
#include "llvm/MC/MCContext.h"
#include "llvm/MC/MCDisassembler/MCDisassembler.h"
#include "llvm/MC/MCInst.h"
#include "llvm/MC/MCInstPrinter.h"
#include "llvm/MC/MCInstrInfo.h"
#include "llvm/MC/MCRegisterInfo.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/MCTargetOptions.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/TargetSelect.h"

#include <algorithm>

namespace permalloy {

namespace {
/// LLVM's x86-64 disassembler with every feature switched on.
class Disassembler {
public:
  bool create() {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86Disassembler();
    llvm::Triple triple("x86_64-unknown-linux-gnu");
    std::string error;
    const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, error);
    if (!target)
      return false;
    registers.reset(target->createMCRegInfo(triple));
    asmInfo.reset(target->createMCAsmInfo(*registers, triple, llvm::MCTargetOptions()));
    instructions.reset(target->createMCInstrInfo());
    subtarget.reset(target->createMCSubtargetInfo(triple, "", ""));
    context =
        std::make_unique<llvm::MCContext>(triple, asmInfo.get(), registers.get(), subtarget.get());
    disassembler.reset(target->createMCDisassembler(*subtarget, *context));
    printer.reset(target->createMCInstPrinter(triple, /*SyntaxVariant=*/1, *asmInfo, *instructions,
                                              *registers));
    if (!disassembler || !printer)
      return false;
    printer->setPrintImmHex(true);
    printer->setPrintBranchImmAsAddress(true);
    return true;
  }

  /// Prints the instructions in `code`, which lies at `address`.
  void print(llvm::ArrayRef<uint8_t> code, uint64_t address, llvm::raw_ostream &os) {
    while (!code.empty()) {
      llvm::MCInst instruction;
      uint64_t size = 1;
      bool known = disassembler->getInstruction(instruction, size, code, address, llvm::nulls()) ==
                   llvm::MCDisassembler::Success;
      size = std::clamp<uint64_t>(size, 1, code.size());
      os << llvm::format_hex_no_prefix(address, 8) << ":";
      if (known)
        printer->printInst(&instruction, address, "", *subtarget, os);
      else
        os << "\t.byte\t" << llvm::format_hex(code[0], 4);
      os << "\n";
      code = code.drop_front(size);
      address += size;
    }
  }

private:
  std::unique_ptr<llvm::MCRegisterInfo> registers;
  std::unique_ptr<llvm::MCAsmInfo> asmInfo;
  std::unique_ptr<llvm::MCInstrInfo> instructions;
  std::unique_ptr<llvm::MCSubtargetInfo> subtarget;
  std::unique_ptr<llvm::MCContext> context;
  std::unique_ptr<llvm::MCDisassembler> disassembler;
  std::unique_ptr<llvm::MCInstPrinter> printer;
};

struct Code {
  uint64_t address;
  llvm::ArrayRef<uint8_t> bytes;
};
} // namespace

/// The executable segment of an image.
static Result<Code> executableSegment(std::span<const std::byte> image) {
  auto bytes = llvm::StringRef(reinterpret_cast<const char *>(image.data()), image.size());
  auto file = llvm::object::ELF64LEFile::create(bytes);
  if (!file)
    return Status(StatusCode::internal, "code image: " + llvm::toString(file.takeError()));
  auto headers = file->program_headers();
  if (!headers)
    return Status(StatusCode::internal, "code image: " + llvm::toString(headers.takeError()));
  for (const auto &header : *headers)
    if (header.p_type == llvm::ELF::PT_LOAD && header.p_flags & llvm::ELF::PF_X &&
        header.p_offset <= image.size() && header.p_filesz <= image.size() - header.p_offset)
      return Code{header.p_vaddr,
                  {reinterpret_cast<const uint8_t *>(image.data()) + header.p_offset,
                   static_cast<size_t>(header.p_filesz)}};
  return Status(StatusCode::internal, "code image: no executable segment");
}

Status disassemble(const Artifact &artifact, size_t target, llvm::raw_ostream &os) {
  Result<Code> code = executableSegment(artifact.image(target));
  if (!code.ok())
    return code.status();
  Disassembler disassembler;
  if (!disassembler.create())
    return {StatusCode::unsupported, "LLVM has no x86-64 disassembler"};
  const artifact::Program &program = artifact.program();
  std::vector<std::pair<uint64_t, std::string>> kernels;
  for (size_t i = 0; i < program.kernels.size(); ++i)
    kernels.emplace_back(program.targets[target].entryPoints[i], program.kernels[i].name);
  std::sort(kernels.begin(), kernels.end());
  uint64_t end = code->address + code->bytes.size();
  for (size_t i = 0; i < kernels.size(); ++i) {
    uint64_t from = std::clamp(kernels[i].first, code->address, end);
    uint64_t to = i + 1 < kernels.size() ? std::clamp(kernels[i + 1].first, from, end) : end;
    os << "\n" << kernels[i].second << ":\n";
    disassembler.print(code->bytes.slice(from - code->address, to - from), from, os);
  }
  return {};
}

} // namespace permalloy

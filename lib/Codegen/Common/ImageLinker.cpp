//===- ImageLinker.cpp - lld as a library, and checks of what it made -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/Common/ImageLinker.h"

#include "lld/Common/Driver.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <mutex>

LLD_HAS_DRIVER(elf)

using namespace permalloy::codegen;
using llvm::ArrayRef;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::object::ELF64LEFile;

/// Headers, constants and code in one read+execute segment, so that the runtime has one mapping to
/// make and code reaches its constants relative to itself.
static constexpr StringRef kLinkerScript = R"(
PHDRS { image PT_LOAD FILEHDR PHDRS FLAGS(5); }
SECTIONS {
  . = SIZEOF_HEADERS;
  .rodata : ALIGN(64) { *(.rodata .rodata.*) } :image
  .text : ALIGN(64) { *(.text .text.*) } :image
  /DISCARD/ : { *(.comment .note.* .eh_frame* .dynamic .dynsym .dynstr .hash .gnu.hash .llvm*) }
}
)";

static Error linkError(const llvm::Twine &what) {
  return llvm::createStringError("internal error while linking kernels: " + what);
}

namespace {
/// A temporary folder that goes away with its content.
class ScratchFolder {
public:
  static Expected<ScratchFolder> create() {
    ScratchFolder folder;
    if (std::error_code error = llvm::sys::fs::createUniqueDirectory("permalloy-link", folder.path))
      return llvm::createStringError(error, "cannot create a temporary folder for linking");
    return folder;
  }
  ScratchFolder(ScratchFolder &&other) : path(std::move(other.path)) { other.path.clear(); }
  ~ScratchFolder() {
    if (!path.empty())
      llvm::sys::fs::remove_directories(path);
  }

  std::string file(const llvm::Twine &name) const { return (path + "/" + name).str(); }
  Expected<std::string> write(const llvm::Twine &name, StringRef content) const {
    std::string result = file(name);
    std::error_code error;
    llvm::raw_fd_ostream stream(result, error);
    if (!error) {
      stream << content;
      stream.close();
      error = stream.error();
      stream.clear_error();
    }
    if (error)
      return llvm::createStringError(error, "cannot write " + result);
    return result;
  }

private:
  ScratchFolder() = default;
  llvm::SmallString<128> path;
};
} // namespace

static Error runLld(ArrayRef<std::string> arguments) {
  static std::mutex lldIsNotReentrant;
  std::lock_guard<std::mutex> lock(lldIsNotReentrant);
  llvm::SmallVector<const char *> pointers;
  for (const std::string &argument : arguments)
    pointers.push_back(argument.c_str());
  std::string messages;
  llvm::raw_string_ostream stream(messages);
  lld::Result result = lld::lldMain(pointers, stream, stream, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0 || !result.canRunAgain)
    return linkError(StringRef(messages).trim());
  return Error::success();
}

/// One load segment at zero; nothing for a dynamic loader to do.
static Error checkImage(const ELF64LEFile &elf) {
  auto headers = elf.program_headers();
  if (!headers)
    return headers.takeError();
  unsigned loads = 0;
  for (const auto &header : *headers) {
    if (header.p_type != llvm::ELF::PT_LOAD)
      continue;
    bool flat = header.p_offset == 0 && header.p_vaddr == 0 && header.p_filesz == header.p_memsz;
    if (!flat || header.p_flags != (llvm::ELF::PF_R | llvm::ELF::PF_X))
      return linkError("a segment is not flat or not read+execute");
    ++loads;
  }
  if (loads != 1)
    return linkError("expected one load segment, found " + llvm::Twine(loads));
  auto sections = elf.sections();
  if (!sections)
    return sections.takeError();
  for (const auto &section : *sections) {
    bool relocations = section.sh_type == llvm::ELF::SHT_RELA ||
                       section.sh_type == llvm::ELF::SHT_REL ||
                       section.sh_type == llvm::ELF::SHT_RELR;
    if (relocations && section.sh_size != 0)
      return linkError("the image has dynamic relocations");
    if ((section.sh_flags & llvm::ELF::SHF_WRITE) && section.sh_size != 0)
      return linkError("the image has writable data");
  }
  return Error::success();
}

static Error collectEntries(const ELF64LEFile &elf, std::map<std::string, uint64_t> &entries) {
  auto sections = elf.sections();
  if (!sections)
    return sections.takeError();
  for (const auto &section : *sections) {
    if (section.sh_type != llvm::ELF::SHT_SYMTAB)
      continue;
    auto symbols = elf.symbols(&section);
    auto names = elf.getStringTableForSymtab(section);
    if (!symbols || !names)
      return llvm::joinErrors(symbols.takeError(), names.takeError());
    for (const auto &symbol : llvm::drop_begin(*symbols)) {
      auto name = symbol.getName(*names);
      if (!name)
        return name.takeError();
      if (symbol.st_shndx == llvm::ELF::SHN_UNDEF)
        return linkError("undefined symbol '" + *name + "'");
      if (symbol.getType() == llvm::ELF::STT_FUNC && symbol.getBinding() == llvm::ELF::STB_GLOBAL)
        entries[name->str()] = symbol.st_value;
    }
  }
  return Error::success();
}

Expected<LinkedImage> permalloy::codegen::linkImage(ArrayRef<ArrayRef<char>> objects) {
  Expected<ScratchFolder> folder = ScratchFolder::create();
  if (!folder)
    return folder.takeError();
  std::string output = folder->file("image.elf");
  // -pie makes lld turn every absolute address into a dynamic relocation, which checkImage refuses.
  std::vector<std::string> arguments = {"ld.lld",
                                        "-pie",
                                        "--no-dynamic-linker",
                                        "-z",
                                        "text",
                                        "-z",
                                        "norelro",
                                        "-z",
                                        "noexecstack",
                                        "--build-id=none",
                                        "--no-undefined",
                                        "--threads=1",
                                        "--entry=0",
                                        "-o",
                                        output};
  Expected<std::string> script = folder->write("image.ld", kLinkerScript);
  if (!script)
    return script.takeError();
  arguments.insert(arguments.end(), {"-T", *script});
  for (auto [index, object] : llvm::enumerate(objects)) {
    auto path = folder->write("kernel" + llvm::Twine(index) + ".o",
                              StringRef(object.data(), object.size()));
    if (!path)
      return path.takeError();
    arguments.push_back(*path);
  }
  if (objects.empty()) { // a model that only copies; lld links nothing without an input
    auto nothing = folder->write("nothing", "");
    if (!nothing)
      return nothing.takeError();
    arguments.insert(arguments.end(),
                     {"-m", "elf_x86_64", "--strip-all", "--format=binary", *nothing});
  }
  if (Error error = runLld(arguments))
    return error;
  auto buffer =
      llvm::MemoryBuffer::getFile(output, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return llvm::createStringError(buffer.getError(), "cannot read the linked image");
  auto elf = ELF64LEFile::create((*buffer)->getBuffer());
  if (!elf)
    return elf.takeError();
  LinkedImage image;
  if (Error error = llvm::joinErrors(checkImage(*elf), collectEntries(*elf, image.entries)))
    return error;
  image.bytes.assign((*buffer)->getBufferStart(), (*buffer)->getBufferEnd());
  return image;
}

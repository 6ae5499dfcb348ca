//===- CodeImage.cpp - kernels made executable without dlopen ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Runtime/CodeImage.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <elf.h>
#include <optional>
#include <sys/mman.h>

namespace permalloy {

namespace {

/// Reads an ELF image; every offset is checked against its size.
class ElfView {
public:
  ElfView(std::span<const std::byte> bytes, const std::string &name) : bytes_(bytes), name_(name) {}

  Status parse();
  const std::vector<Elf64_Phdr> &programHeaders() const { return headers_; }
  /// One past the highest virtual address of a loaded segment.
  uint64_t extent() const { return extent_; }

private:
  Status fault(const std::string &what) const {
    return {StatusCode::invalidArtifact, "the code image for '" + name_ + "' " + what};
  }
  Status checkSegment(const Elf64_Phdr &header);
  Status checkDynamic(const Elf64_Phdr &header) const;

  std::span<const std::byte> bytes_;
  const std::string &name_;
  std::vector<Elf64_Phdr> headers_;
  uint64_t extent_ = 0;
};

Status ElfView::parse() {
  Elf64_Ehdr header;
  if (bytes_.size() < sizeof header)
    return fault("is truncated");
  std::memcpy(&header, bytes_.data(), sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_type != ET_DYN ||
      header.e_machine != EM_X86_64 || header.e_phentsize != sizeof(Elf64_Phdr))
    return fault("is not an x86-64 shared object");
  uint64_t tableSize = uint64_t(header.e_phnum) * sizeof(Elf64_Phdr);
  if (header.e_phoff > bytes_.size() || tableSize > bytes_.size() - header.e_phoff)
    return fault("has program headers outside of it");
  headers_.resize(header.e_phnum);
  std::memcpy(headers_.data(), bytes_.data() + header.e_phoff, tableSize);
  for (const Elf64_Phdr &segment : headers_)
    PERMALLOY_TRY(checkSegment(segment));
  return {};
}

Status ElfView::checkSegment(const Elf64_Phdr &segment) {
  if (segment.p_type == PT_TLS || segment.p_type == PT_INTERP)
    return fault("has thread-local storage or an interpreter, which kernels may not");
  if (segment.p_type != PT_LOAD && segment.p_type != PT_DYNAMIC)
    return {};
  // 1 GB of kernels would be a fault of the compiler; the bound keeps all sums small.
  constexpr uint64_t limit = uint64_t(1) << 30;
  if (segment.p_offset > bytes_.size() || segment.p_filesz > bytes_.size() - segment.p_offset ||
      segment.p_vaddr > limit || segment.p_memsz > limit || segment.p_filesz > segment.p_memsz)
    return fault("has a segment outside of it");
  if (segment.p_type == PT_DYNAMIC)
    return checkDynamic(segment);
  // Each segment gets its own protection, so segments must not share a page.
  if (segment.p_vaddr / artifact::kPageSize * artifact::kPageSize < extent_)
    return fault("has overlapping segments");
  extent_ = (segment.p_vaddr + segment.p_memsz + artifact::kPageSize - 1) / artifact::kPageSize *
            artifact::kPageSize;
  return {};
}

Status ElfView::checkDynamic(const Elf64_Phdr &segment) const {
  for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= segment.p_filesz; at += sizeof(Elf64_Dyn)) {
    Elf64_Dyn entry;
    std::memcpy(&entry, bytes_.data() + segment.p_offset + at, sizeof entry);
    switch (entry.d_tag) {
    case DT_NULL:
      return {};
    case DT_NEEDED:
      return fault("needs another library, which kernels may not");
    case DT_RELASZ:
    case DT_RELSZ:
    case DT_RELRSZ:
    case DT_PLTRELSZ:
      if (entry.d_un.d_val != 0)
        return fault("has dynamic relocations, which kernels may not");
      break;
    default:
      break;
    }
  }
  return {};
}

} // namespace

Result<CodeImage> CodeImage::load(std::span<const std::byte> elf, const std::string &name) {
  ElfView view(elf, name);
  PERMALLOY_TRY(view.parse());
  Result<Mapping> memory = Mapping::anonymous(view.extent());
  if (!memory.ok())
    return memory.status();
  CodeImage image;
  image.memory_ = std::move(*memory);
  for (const Elf64_Phdr &segment : view.programHeaders()) {
    if (segment.p_type != PT_LOAD)
      continue;
    std::memcpy(image.memory_.data() + segment.p_vaddr, elf.data() + segment.p_offset,
                segment.p_filesz);
    image.segments_.push_back(
        {segment.p_vaddr, segment.p_vaddr + segment.p_memsz, (segment.p_flags & PF_X) != 0});
  }
  // Never writable again: kernels have no state. (lld's .dynamic asks for a writable segment.)
  PERMALLOY_TRY(image.memory_.protect(0, image.memory_.size(), PROT_READ));
  for (const Segment &segment : image.segments_)
    if (segment.executable && segment.end > segment.begin)
      PERMALLOY_TRY(
          image.memory_.protect(segment.begin, segment.end - segment.begin, PROT_READ | PROT_EXEC));
  return image;
}

Result<KernelFunction> CodeImage::entry(uint64_t address) const {
  for (const Segment &segment : segments_)
    if (segment.executable && address >= segment.begin && address < segment.end)
      return reinterpret_cast<KernelFunction>(memory_.data() + address);
  return Status(StatusCode::invalidArtifact, "a kernel's entry point " + std::to_string(address) +
                                                 " lies outside the code image");
}

uintptr_t CodeImage::codeEnd(uintptr_t code) const {
  auto base = reinterpret_cast<uintptr_t>(memory_.data());
  for (const Segment &segment : segments_)
    if (segment.executable && code >= base + segment.begin && code < base + segment.end)
      return base + segment.end;
  return code;
}

//===-- Which image -------------------------------------------------------===//

static std::string joined(const std::vector<std::string> &words) {
  std::string text;
  for (const std::string &word : words)
    text += (text.empty() ? "" : ", ") + word;
  return text;
}

Result<size_t> selectTarget(std::span<const artifact::Target> targets, CpuFeatureMask host) {
  constexpr CpuFeatureMask amx = featureBit(CpuFeature::amxTile);
  static std::atomic_flag reported;
  for (size_t i = targets.size(); i-- > 0;) {
    if (targets[i].features & ~host)
      continue;
    if (!(targets[i].features & amx) || requestAmxPermission())
      return i;
    if (!reported.test_and_set())
      std::fprintf(stderr, "permalloy: Linux refused the AMX tile state; target '%s' is not used\n",
                   targets[i].name.c_str());
  }
  std::vector<std::string> names;
  for (const artifact::Target &target : targets)
    names.push_back("'" + target.name + "'");
  std::vector<std::string> missing = cpuFeatureNames(targets[0].features & ~host);
  if (missing.empty())
    missing.push_back("permission to use amx-tile");
  return Status(StatusCode::unsupportedCpu,
                "this CPU runs none of the targets " + joined(names) + ": '" + targets[0].name +
                    "' needs " + joined(missing) + "; compile the model for this machine");
}

} // namespace permalloy

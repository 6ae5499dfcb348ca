//===- Npz.cpp - numpy's .npz files, through libzip --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Support/Npy.h"

#include "permalloy/Support/Files.h"

#include <memory>
#include <zip.h>

namespace permalloy {

/// Deflate makes at most 1032 bytes of one; what claims more is damaged or hostile.
static constexpr uint64_t kMostInflation = 1040;

namespace {
struct ZipDeleter {
  void operator()(zip_t *zip) const { zip_discard(zip); }
  void operator()(zip_file_t *file) const { zip_fclose(file); }
  void operator()(zip_source_t *source) const { zip_source_free(source); }
};
using Zip = std::unique_ptr<zip_t, ZipDeleter>;
using ZipFile = std::unique_ptr<zip_file_t, ZipDeleter>;
using ZipSource = std::unique_ptr<zip_source_t, ZipDeleter>;
} // namespace

static Status invalid(const std::string &path, const std::string &what) {
  return {StatusCode::invalidArgument, "'" + path + "' is not a usable .npz file: " + what};
}

static Status readEntry(zip_t *zip, zip_uint64_t index, const std::string &path,
                        NamedArray &entry) {
  zip_stat_t info;
  zip_stat_init(&info);
  if (zip_stat_index(zip, index, 0, &info) != 0 || !(info.valid & ZIP_STAT_SIZE) ||
      !(info.valid & ZIP_STAT_COMP_SIZE) || !(info.valid & ZIP_STAT_NAME))
    return invalid(path, zip_strerror(zip));
  entry.name = info.name;
  if (info.size / kMostInflation > info.comp_size)
    return invalid(path, "entry '" + entry.name + "' claims more bytes than it can hold");
  ZipFile file(zip_fopen_index(zip, index, 0));
  if (!file)
    return invalid(path, "entry '" + entry.name + "': " + zip_strerror(zip));
  std::vector<std::byte> bytes(info.size);
  zip_int64_t count = zip_fread(file.get(), bytes.data(), bytes.size());
  // One byte more makes libzip compare the checksum.
  std::byte extra;
  if (count != static_cast<zip_int64_t>(bytes.size()) || zip_fread(file.get(), &extra, 1) != 0)
    return invalid(path, "entry '" + entry.name + "' is truncated or altered");
  Result<Array> array = parseNpy(bytes, path + ":" + entry.name);
  if (!array.ok())
    return array.status();
  entry.array = std::move(*array);
  if (entry.name.ends_with(".npy"))
    entry.name.resize(entry.name.size() - 4);
  return {};
}

static Result<Zip> openZip(const std::string &path) {
  // Opened first by ourselves: libzip says "no such file" of a folder, too.
  if (Result<std::vector<std::byte>> start = readFileStart(path, 4); !start.ok())
    return start.status();
  int code = 0;
  Zip zip(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (zip)
    return zip;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  Status status = invalid(path, zip_error_strerror(&error));
  zip_error_fini(&error);
  return status;
}

Result<std::vector<NamedArray>> readNpz(const std::string &path) {
  Result<Zip> zip = openZip(path);
  if (!zip.ok())
    return zip.status();
  std::vector<NamedArray> arrays(static_cast<size_t>(zip_get_num_entries(zip->get(), 0)));
  for (size_t i = 0; i < arrays.size(); ++i)
    if (Status status = readEntry(zip->get(), i, path, arrays[i]); !status.ok())
      return status;
  return arrays;
}

//===-- Piece by piece ----------------------------------------------------===//

struct NpzStream::State {
  struct Entry {
    std::string name;
    NpyHeader header;
    ZipFile file;
  };
  std::string path;
  Zip zip;
  std::vector<Entry> entries;
};

NpzStream::NpzStream(std::unique_ptr<State> state) : state(std::move(state)) {}
NpzStream::NpzStream(NpzStream &&) noexcept = default;
NpzStream::~NpzStream() = default;
size_t NpzStream::size() const { return state->entries.size(); }
const std::string &NpzStream::name(size_t index) const { return state->entries[index].name; }
const NpyHeader &NpzStream::header(size_t index) const { return state->entries[index].header; }

/// More than any header of an array that a model takes.
static constexpr size_t kLongestHeader = 1 << 16;

Result<NpzStream> NpzStream::open(const std::string &path) {
  Result<Zip> zip = openZip(path);
  if (!zip.ok())
    return zip.status();
  auto state = std::make_unique<State>();
  state->path = path;
  state->zip = std::move(*zip);
  for (zip_int64_t i = 0, end = zip_get_num_entries(state->zip.get(), 0); i < end; ++i) {
    auto index = static_cast<zip_uint64_t>(i);
    std::string name = zip_get_name(state->zip.get(), index, 0);
    // Once for the header, and again up to where the elements begin.
    ZipFile start(zip_fopen_index(state->zip.get(), index, 0)), file(zip_fopen_index(state->zip.get(), index, 0));
    std::vector<std::byte> bytes(kLongestHeader);
    zip_int64_t count = start ? zip_fread(start.get(), bytes.data(), bytes.size()) : -1;
    if (count < 0 || !file)
      return invalid(path, "entry '" + name + "': " + zip_strerror(state->zip.get()));
    bytes.resize(static_cast<size_t>(count));
    Result<NpyHeader> header = parseNpyHeader(bytes, path + ":" + name);
    if (!header.ok())
      return header.status();
    if (header->fortranOrder && header->dims.size() > 1)
      return invalid(path, "entry '" + name + "' is in Fortran order, which is read as a whole only; save numpy.ascontiguousarray of it");
    auto offset = static_cast<zip_uint64_t>(header->dataOffset);
    if (zip_fread(file.get(), bytes.data(), offset) != static_cast<zip_int64_t>(offset))
      return invalid(path, "entry '" + name + "' is truncated or altered");
    if (name.ends_with(".npy"))
      name.resize(name.size() - 4);
    state->entries.push_back({std::move(name), std::move(*header), std::move(file)});
  }
  return NpzStream(std::move(state));
}

Status NpzStream::read(size_t index, std::byte *data, size_t size) {
  State::Entry &entry = state->entries[index];
  if (zip_fread(entry.file.get(), data, size) != static_cast<zip_int64_t>(size))
    return invalid(state->path, "entry '" + entry.name + "' is truncated or altered");
  return {};
}

/// Adds `bytes`, which must live until the archive is closed.
static bool addEntry(zip_t *zip, const std::string &name, std::span<const std::byte> bytes) {
  zip_source_t *source = zip_source_buffer(zip, bytes.data(), bytes.size(), 0);
  if (!source)
    return false;
  zip_int64_t index = zip_file_add(zip, (name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8);
  if (index < 0) {
    zip_source_free(source);
    return false;
  }
  // No time stamp, so that equal arrays give equal bytes.
  zip_file_set_dostime(zip, static_cast<zip_uint64_t>(index), 0, 0x21, 0);
  return zip_set_file_compression(zip, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0) == 0;
}

/// The bytes of a closed archive in memory.
static Result<std::vector<std::byte>> contents(zip_source_t *memory, const std::string &path) {
  zip_stat_t info;
  zip_stat_init(&info);
  if (zip_source_stat(memory, &info) != 0 || zip_source_open(memory) != 0)
    return Status(StatusCode::internal, "cannot build '" + path + "' in memory");
  std::vector<std::byte> bytes(info.size);
  zip_int64_t count = zip_source_read(memory, bytes.data(), bytes.size());
  zip_source_close(memory);
  if (count != static_cast<zip_int64_t>(bytes.size()))
    return Status(StatusCode::internal, "cannot build '" + path + "' in memory");
  return bytes;
}

Status writeNpz(const std::string &path, std::span<const NamedArray> arrays) {
  ZipSource memory(zip_source_buffer_create(nullptr, 0, 0, nullptr));
  zip_source_keep(memory.get());
  Zip zip(zip_open_from_source(memory.get(), ZIP_TRUNCATE, nullptr));
  if (!zip)
    return {StatusCode::internal, "cannot build '" + path + "' in memory"};
  std::vector<std::vector<std::byte>> files;
  for (const NamedArray &entry : arrays)
    files.push_back(npyBytes(entry.array));
  for (size_t i = 0; i < arrays.size(); ++i)
    if (!addEntry(zip.get(), arrays[i].name, files[i]))
      return {StatusCode::invalidArgument, "cannot store '" + arrays[i].name + "' in '" + path +
                                               "': " + zip_strerror(zip.get())};
  // Closing an archive of no entry removes it; numpy's own empty .npz is 22 bytes.
  if (arrays.empty())
    return writeFile(path, std::string("PK\5\6") + std::string(18, '\0'));
  if (zip_close(zip.get()) != 0)
    return {StatusCode::internal,
            "cannot build '" + path + "' in memory: " + zip_strerror(zip.get())};
  zip.release();
  Result<std::vector<std::byte>> bytes = contents(memory.get(), path);
  if (!bytes.ok())
    return bytes.status();
  return writeFile(path, *bytes);
}

} // namespace permalloy

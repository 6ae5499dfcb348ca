//===- Report.cpp - how the tools speak --------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Report.h"

#include "permalloy/Support/Files.h"
#include "permalloy/Support/Text.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Location.h"

#include <algorithm>

namespace permalloy {

/// Where messages go: after what was printed before, and over a line of progress.
static llvm::raw_ostream &messages() {
  llvm::outs().flush();
  if (llvm::errs().is_displayed())
    llvm::errs() << "\r\033[K";
  return llvm::errs();
}

int fail(const std::string &message) {
  messages() << "permalloy: error: " << printable(message) << "\n";
  return 1;
}

int fail(const Status &status) { return fail(status.message()); }

void warn(const std::string &message) { messages() << "permalloy: warning: " << printable(message) << "\n"; }

//===-- Diagnostics -------------------------------------------------------===//

/// What a location says to a user: the model's node names, or file and line of MLIR text.
static void describe(mlir::Location location, std::vector<std::string> &names) {
  if (auto name = mlir::dyn_cast<mlir::NameLoc>(location))
    // The module itself is named after its file.
    names.push_back((name.getName().strref().ends_with(".onnx") ? "'" : "node '") +
                    name.getName().str() + "'");
  else if (auto file = mlir::dyn_cast<mlir::FileLineColLoc>(location))
    names.push_back(file.getFilename().str() + (file.getLine()
                                                    ? ":" + std::to_string(file.getLine()) + ":" +
                                                          std::to_string(file.getColumn())
                                                    : ""));
  else if (auto fused = mlir::dyn_cast<mlir::FusedLoc>(location))
    for (mlir::Location part : fused.getLocations())
      describe(part, names);
  else if (auto call = mlir::dyn_cast<mlir::CallSiteLoc>(location))
    describe(call.getCallee(), names);
}

static std::string where(mlir::Location location) {
  std::vector<std::string> names;
  describe(location, names);
  std::string text;
  for (size_t i = 0; i < names.size() && i < 3; ++i)
    text += (i ? ", " : "") + names[i];
  if (names.size() > 3)
    text += " and " + std::to_string(names.size() - 3) + " more";
  return text.empty() ? "" : text + ": ";
}

static llvm::LogicalResult print(mlir::Diagnostic &diagnostic) {
  static constexpr const char *kinds[] = {"note", "warning", "error", "note"};
  messages() << "permalloy: " << kinds[static_cast<int>(diagnostic.getSeverity())] << ": "
             << printable(where(diagnostic.getLocation()) + diagnostic.str()) << "\n";
  for (mlir::Diagnostic &note : diagnostic.getNotes())
    llvm::errs() << "permalloy: note: " << printable(where(note.getLocation()) + note.str()) << "\n";
  return llvm::success();
}

std::unique_ptr<mlir::ScopedDiagnosticHandler> reportDiagnostics(mlir::MLIRContext &context) {
  return std::make_unique<mlir::ScopedDiagnosticHandler>(&context, print);
}

//===-- Output ------------------------------------------------------------===//

/// Columns that `text` takes on a terminal: bytes of UTF-8 sequences after the first take none.
static size_t width(const std::string &text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

void Table::print(llvm::raw_ostream &os) const {
  std::vector<size_t> widths;
  for (const std::vector<std::string> &row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      widths.resize(std::max(widths.size(), row.size()));
      widths[i] = std::max(widths[i], width(row[i]));
    }
  for (const std::vector<std::string> &row : rows) {
    os << indent;
    for (size_t i = 0; i < row.size(); ++i) {
      size_t space = widths[i] - width(row[i]);
      bool toRight = std::find(right.begin(), right.end(), i) != right.end();
      if (toRight)
        os.indent(static_cast<unsigned>(space));
      os << row[i];
      bool more = std::any_of(row.begin() + static_cast<std::ptrdiff_t>(i) + 1, row.end(),
                              [](const std::string &cell) { return !cell.empty(); });
      if (more)
        os.indent(static_cast<unsigned>(toRight ? 2 : space + 2));
    }
    os << "\n";
  }
}

Status writeText(const std::string &path, const std::function<Status(llvm::raw_ostream &)> &print) {
  if (path == "-")
    return print(llvm::outs());
  std::string text;
  llvm::raw_string_ostream stream(text);
  PERMALLOY_TRY(print(stream));
  return writeFile(path, text);
}

int finishOutput(int code) {
  llvm::raw_fd_ostream &out = llvm::outs();
  out.flush();
  if (!out.has_error())
    return code;
  std::error_code error = out.error();
  out.clear_error();
  // The reader of a pipe may stop early; that is no fault.
  if (error == std::errc::broken_pipe)
    return code;
  return fail("cannot write to the standard output: " + error.message());
}

} // namespace permalloy

//===- TuningRow.cpp - the lines of the tuning database ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/TuningRow.h"

#include <ctime>

using namespace permalloy;
namespace json = llvm::json;

std::string permalloy::str(const NamedNumbers &numbers) {
  std::string text;
  for (const auto &[name, value] : numbers)
    text += (text.empty() ? "" : " ") + name + "=" + std::to_string(value);
  return text;
}

NamedNumbers permalloy::numbersOf(mlir::DictionaryAttr schedule) {
  NamedNumbers numbers;
  for (mlir::NamedAttribute entry : schedule)
    if (auto value = mlir::dyn_cast<mlir::IntegerAttr>(entry.getValue()))
      numbers.push_back({entry.getName().str(), value.getInt()});
  llvm::sort(numbers);
  return numbers;
}

std::string permalloy::dateOfRow() {
  std::time_t now = std::time(nullptr);
  std::tm utc;
  char text[32];
  ::gmtime_r(&now, &utc);
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

//===-- Writing -----------------------------------------------------------===//

static std::string line(llvm::function_ref<void(json::OStream &)> fields) {
  std::string text;
  llvm::raw_string_ostream os(text);
  json::OStream out(os);
  out.object([&] { fields(out); });
  return text;
}

static void writeNumbers(json::OStream &out, llvm::StringRef name, const NamedNumbers &numbers) {
  out.attributeObject(name, [&] {
    for (const auto &[key, value] : numbers)
      out.attribute(key, value);
  });
}

std::string permalloy::headerLine() {
  return line([](json::OStream &out) {
    out.attribute("permalloy", "tuning");
    out.attribute("version", 1);
  });
}

std::string permalloy::lineOf(const Cpu &cpu) {
  return line([&](json::OStream &out) {
    out.attribute("cpu", cpu.kind());
    out.attribute("vendor", cpu.vendor);
    out.attribute("family", cpu.family);
    out.attribute("model", cpu.model);
    out.attribute("stepping", cpu.stepping);
    out.attribute("brand", cpu.brand);
    out.attribute("features", cpu.features);
    out.attribute("l1_bytes", cpu.l1Bytes);
    out.attribute("l2_bytes", cpu.l2Bytes);
    out.attribute("l3_bytes", cpu.l3Bytes);
  });
}

std::string permalloy::lineOf(const KernelIdentity &kernel) {
  return line([&](json::OStream &out) {
    out.attribute("kernel", kernel.id);
    out.attribute("structure", kernel.structure);
    out.attribute("emitter", kernel.emitter);
    out.attribute("dtype", kernel.dtype);
    out.attributeArray("dims", [&] {
      for (const std::string &dim : kernel.dims)
        out.value(dim);
    });
    out.attribute("text", kernel.text);
  });
}

/// Nanoseconds to a tenth: more digits are noise.
static double tenths(double value) { return std::round(value * 10) / 10; }

std::string permalloy::lineOf(const TuningRow &row) {
  return line([&](json::OStream &out) {
    out.attribute("row", row.kernel);
    out.attribute("cpu", row.cpu);
    out.attribute("target", row.target);
    if (!row.form.empty())
      out.attribute("form", row.form);
    writeNumbers(out, "schedule", row.schedule);
    writeNumbers(out, "symbols", row.symbols);
    out.attributeArray("sizes", [&] {
      for (int64_t size : row.sizes)
        out.value(size);
    });
    out.attribute("default", row.isDefault);
    out.attribute("weights", row.coldWeights ? "cold" : "warm");
    if (row.form.empty())
      out.attribute("threads", 1);
    out.attribute("min_ns", tenths(row.minNs));
    out.attribute("median_ns", tenths(row.medianNs));
    out.attribute("mad_ns", tenths(row.madNs));
    out.attribute("repeats", row.repeats);
    if (row.defaultNs > 0)
      out.attribute("default_ns", tenths(row.defaultNs));
    if (!row.defaultCode.empty())
      out.attribute("default_code", row.defaultCode);
    out.attribute("drift", std::round(row.drift * 1000) / 1000);
    if (row.speed.isKnown()) {
      out.attribute("fma_gflops", tenths(row.speed.fmaGflops));
      out.attribute("read_gbps", std::round(row.speed.readGbps * 100) / 100);
    }
    if (row.weightSpan > 0)
      out.attribute("weight_span", int64_t(row.weightSpan));
    out.attribute("instructions", row.instructions);
    out.attribute("spills", row.spills);
    out.attribute("code_bytes", row.codeBytes);
    if (row.registers > 0)
      out.attribute("registers", row.registers);
    out.attribute("flops", row.flops);
    out.attribute("bytes", row.bytes);
    out.attribute("estimate_ns", tenths(row.estimateNs));
    out.attribute("code", row.code);
    out.attribute("compiler", row.compiler);
    out.attribute("date", row.date);
  });
}

//===-- Reading -----------------------------------------------------------===//

namespace {
/// Takes fields out of an object and remembers the first that is not there or of another kind.
class Fields {
public:
  explicit Fields(const json::Object &object) : object(object) {}

  bool isThere(llvm::StringRef name) const { return object.get(name) != nullptr; }
  std::string text(llvm::StringRef name) {
    auto value = object.getString(name);
    return value ? value->str() : (fail(name, "a string"), "");
  }
  int64_t integer(llvm::StringRef name) {
    auto value = object.getInteger(name);
    return value ? *value : (fail(name, "a whole number"), 0);
  }
  double number(llvm::StringRef name) {
    auto value = object.getNumber(name);
    return value && *value >= 0 ? *value : (fail(name, "a number, 0 or more"), 0);
  }
  bool boolean(llvm::StringRef name) {
    auto value = object.getBoolean(name);
    return value ? *value : (fail(name, "true or false"), false);
  }
  NamedNumbers numbers(llvm::StringRef name) {
    NamedNumbers result;
    const json::Object *values = object.getObject(name);
    if (!values)
      fail(name, "an object of numbers");
    else
      for (const auto &[key, value] : *values)
        if (auto number = value.getAsInteger())
          result.push_back({key.str(), *number});
        else
          fail(name, "an object of numbers");
    llvm::sort(result);
    return result;
  }
  const json::Array &array(llvm::StringRef name) {
    static const json::Array none;
    const json::Array *values = object.getArray(name);
    return values ? *values : (fail(name, "an array"), none);
  }
  void fail(llvm::StringRef name, llvm::StringRef expected) {
    if (error.empty())
      error = ("'" + name + "' is missing or not " + expected).str();
  }

  std::string error;

private:
  const json::Object &object;
};
} // namespace

template <typename T> static llvm::Expected<T> finish(Fields &fields, T result) {
  if (!fields.error.empty())
    return llvm::createStringError(fields.error);
  return result;
}

llvm::Expected<KernelIdentity> permalloy::kernelOf(const json::Object &object) {
  Fields fields(object);
  KernelIdentity kernel;
  kernel.id = fields.text("kernel");
  kernel.structure = fields.text("structure");
  kernel.emitter = fields.text("emitter");
  kernel.dtype = fields.text("dtype");
  kernel.text = fields.text("text");
  for (const json::Value &dim : fields.array("dims"))
    if (auto text = dim.getAsString())
      kernel.dims.push_back(text->str());
    else
      fields.fail("dims", "an array of strings");
  return finish(fields, std::move(kernel));
}

llvm::Expected<TuningRow> permalloy::rowOf(const json::Object &object) {
  Fields fields(object);
  TuningRow row;
  row.kernel = fields.text("row");
  row.cpu = fields.text("cpu");
  row.target = fields.text("target");
  row.form = fields.isThere("form") ? fields.text("form") : "";
  row.schedule = fields.numbers("schedule");
  row.symbols = fields.numbers("symbols");
  for (const json::Value &size : fields.array("sizes"))
    if (auto number = size.getAsInteger())
      row.sizes.push_back(*number);
    else
      fields.fail("sizes", "an array of whole numbers");
  row.isDefault = fields.boolean("default");
  row.coldWeights = fields.text("weights") == "cold";
  row.minNs = fields.number("min_ns");
  row.medianNs = fields.number("median_ns");
  row.madNs = fields.number("mad_ns");
  row.repeats = fields.integer("repeats");
  row.defaultNs = fields.isThere("default_ns") ? fields.number("default_ns") : 0;
  row.defaultCode = fields.isThere("default_code") ? fields.text("default_code") : "";
  row.drift = fields.number("drift");
  auto ifThere = [&](llvm::StringRef name) { return fields.isThere(name) ? fields.number(name) : 0; };
  row.speed = {ifThere("fma_gflops"), ifThere("read_gbps")};
  row.weightSpan = ifThere("weight_span");
  row.instructions = fields.integer("instructions");
  row.spills = fields.integer("spills");
  row.codeBytes = fields.integer("code_bytes");
  row.registers = fields.isThere("registers") ? fields.integer("registers") : 0;
  row.flops = fields.integer("flops");
  row.bytes = fields.integer("bytes");
  row.estimateNs = fields.number("estimate_ns");
  row.code = fields.text("code");
  row.compiler = fields.text("compiler");
  row.date = fields.text("date");
  if (row.medianNs <= 0)
    fields.fail("median_ns", "more than 0");
  return finish(fields, std::move(row));
}

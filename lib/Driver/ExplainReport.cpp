//===- ExplainReport.cpp - an explanation as text, JSON and HTML -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Explain.h"
#include "Report.h"

#include "permalloy/Support/Text.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/JSON.h"

#include <algorithm>
#include <cmath>

namespace permalloy {

/// Of a normal distribution, what 90% lie within.
static constexpr double kInterval = 1.645;
/// Names of nodes that a cell of the text shows.
static constexpr size_t kNameWidth = 60;

static const char kPage[] =
#include "ExplainPage.inc"
    ;

double Explanation::measuredUs() const {
  double sum = 0;
  for (double us : measured)
    sum += us;
  return sum;
}

std::vector<KernelSum> sumsOf(const Explanation &explanation) {
  std::map<std::string, KernelSum> sums;
  for (const LaunchPrice &launch : explanation.price.launches) {
    KernelSum &sum = sums[launch.kernel + " " + formatNumber(launch.flops, 15) + " " + formatNumber(launch.bytes, 15)];
    sum.first = sum.first ? sum.first : &launch;
    sum.launches.push_back(&launch);
    sum.us += launch.us;
    if (!explanation.measured.empty())
      sum.measuredUs += explanation.measured[launch.step];
  }
  std::vector<KernelSum> sorted;
  for (auto &[key, sum] : sums)
    sorted.push_back(std::move(sum));
  bool measured = !explanation.measured.empty();
  llvm::sort(sorted, [&](const KernelSum &a, const KernelSum &b) {
    return measured ? a.measuredUs > b.measuredUs : a.us > b.us;
  });
  return sorted;
}

double shareOfPeak(const LaunchPrice &launch, const MachineRates &rates, double us) {
  llvm::StringRef bound = launch.prior.bound();
  if (us <= 0 || bound == "launch" || bound == "overhead")
    return launch.peakGflops > 0 && us > 0 ? launch.flops / us / 1e3 / launch.peakGflops : 0;
  if (bound == "compute")
    return launch.flops / us / 1e3 / launch.peakGflops;
  double rate = bound == "memory" ? rates.memory : bound == "L3" ? rates.l3 : rates.l2;
  return launch.bytes / us / 1e3 / rate;
}

double shareOfPeak(const LaunchPrice &launch, const ProgramPrice &price, double us) {
  if (!launch.gpu)
    return shareOfPeak(launch, price.rates, us);
  const GpuEstimate &estimate = launch.gpu->estimate;
  llvm::StringRef bound = estimate.bound();
  if (us <= 0)
    return 0;
  if (bound == "HBM")
    return estimate.memoryBytes / us / 1e3 / price.gpu->memory;
  if (bound == "L2")
    return estimate.l2Bytes / us / 1e3 / price.gpu->l2;
  return launch.flops / us / 1e3 / launch.peakGflops;
}

static std::string microseconds(double us) { return formatSeconds(us * 1e-6); }
static std::string percent(double share) { return formatNumber(100 * share, 2) + " %"; }

static std::string interval(double us, double sigma) {
  return microseconds(us * std::exp(-kInterval * sigma)) + " - " + microseconds(us * std::exp(kInterval * sigma));
}

static std::string shortened(std::string name) {
  return name.size() > kNameWidth ? name.substr(0, kNameWidth - 3) + "..." : name;
}

static void printKernels(const Explanation &e, llvm::raw_ostream &os) {
  bool measured = !e.measured.empty();
  Table table("  ");
  table.alignRight({1, 2, 3, 4, 6, 7});
  table.row({"kernel", "launches", "predicted", measured ? "measured" : "", "share", "bound", "of its peak", "GFLOP/s", "nodes of the first"});
  for (const KernelSum &sum : sumsOf(e)) {
    const LaunchPrice &launch = *sum.first;
    double total = measured ? e.measuredUs() : e.price.us, us = measured ? sum.measuredUs : sum.us, each = us / double(sum.launches.size());
    table.row({launch.kernel, std::to_string(sum.launches.size()), microseconds(sum.us), measured ? microseconds(sum.measuredUs) : "",
               percent(total > 0 ? us / total : 0), launch.bound(), percent(shareOfPeak(launch, e.price, each)),
               launch.flops > 0 ? formatNumber(launch.flops / each / 1e3, 3) : "", shortened(launch.name)});
  }
  os << "kernels:\n";
  table.print(os);
}

static void printSchedules(const Explanation &e, llvm::raw_ostream &os) {
  os << "schedules:\n";
  for (const KernelSum &sum : sumsOf(e)) {
    const LaunchPrice &launch = *sum.first;
    if (launch.schedule.empty())
      continue;
    std::string form = launch.gpu ? "form=" + launch.gpu->grid.form + " " : "";
    os << "  " << launch.kernel << ": " << form << str(launch.schedule) << " (" << launch.origin << ", " << microseconds(launch.us) << " a launch, 90% "
       << interval(launch.us, launch.sigma) << ")\n";
    for (const auto &[schedule, us] : launch.rejected)
      os << "    rejected: " << str(schedule) << ", " << microseconds(us) << "\n";
  }
}

void printText(const Explanation &e, llvm::raw_ostream &os) {
  os << e.file << " for " << e.target << (e.price.gpu ? "" : ", one thread");
  for (const auto &[name, size] : e.sizes)
    os << ", " << name << "=" << size;
  os << "\npredicted " << microseconds(e.price.us) << ", 90% between " << interval(e.price.us, e.price.sigma) << " (" << e.price.model << ")";
  if (!e.measured.empty())
    os << "; measured " << microseconds(e.measuredUs()) << ", " << formatNumber(100 * (e.price.us / e.measuredUs() - 1), 2) << " % off";
  os << "\n";
  if (e.price.gpu)
    printDevice(e, os);
  else
    os << "constants of the machine: " << e.price.rates.source << "\n";
  if (e.price.unpriced)
    os << formatCount(e.price.unpriced, "launch") << " of sizes that depend on data: not in the sum\n";
  if (e.price.hasBranches)
    os << "the model has If or Loop: every step counts once\n";
  if (!e.note.empty())
    os << e.note << "\n";
  if (e.price.gpu)
    printDeviceKernels(e, os);
  else
    printKernels(e, os);
  printSchedules(e, os);
  if (!e.plan.empty())
    os << "plan:\n" << e.plan;
}

//===----------------------------------------------------------------------===//
// JSON and HTML
//===----------------------------------------------------------------------===//

static void writeSchedule(llvm::json::OStream &out, const NamedNumbers &schedule) {
  out.object([&] {
    for (const auto &[name, value] : schedule)
      out.attribute(name, value);
  });
}

static void writeInterval(llvm::json::OStream &out, double us, double sigma) {
  out.attributeArray("interval_us", [&] {
    out.value(us * std::exp(-kInterval * sigma));
    out.value(us * std::exp(kInterval * sigma));
  });
}

static void writeRoofline(llvm::json::OStream &out, const LaunchPrice &launch) {
  const CostEstimate &prior = launch.prior;
  out.attributeObject("roofline_us", [&] {
    if (launch.gpu) {
      for (const GpuEstimate::Part &part : GpuEstimate::parts())
        out.attribute(part.name, launch.gpu->estimate.*part.us);
      return;
    }
    double scale = 1e-3 / prior.gigahertz;
    for (auto [name, cycles] : {std::pair("compute", prior.compute), {"L2", prior.l2}, {"L3", prior.l3}, {"memory", prior.memory},
                                {"overhead", prior.overhead}, {"launch", prior.launch}})
      out.attribute(name, cycles * scale);
  });
}

static void writeRoofs(llvm::json::OStream &out, const ProgramPrice &price) {
  using Roofs = std::vector<std::pair<const char *, double>>;
  Roofs roofs = price.gpu ? Roofs{{"HBM", price.gpu->memory}, {"L2", price.gpu->l2}}
                          : Roofs{{"memory", price.rates.memory}, {"L3", price.rates.l3}, {"L2", price.rates.l2}};
  out.attributeArray("roofs", [&] {
    for (const auto &[name, gbps] : roofs)
      out.object([&, &shown = name, rate = gbps] {
        out.attribute("name", shown);
        out.attribute("gbps", rate);
      });
  });
}

static void writeMachine(llvm::json::OStream &out, const ProgramPrice &price) {
  if (price.gpu)
    return writeDevice(out, *price.gpu);
  out.attribute("source", price.rates.source);
  for (const MachineRates::Field &field : MachineRates::fields())
    out.attribute(field.name, price.rates.*field.member);
}

static void writeLaunch(llvm::json::OStream &out, const Explanation &e, const LaunchPrice &launch) {
  bool measured = !e.measured.empty();
  double us = measured ? e.measured[launch.step] : launch.us;
  out.object([&] {
    out.attribute("step", int64_t(launch.step));
    out.attribute("nodes", launch.name);
    out.attribute("kernel", launch.kernel);
    out.attribute("emitter", launch.emitter);
    out.attribute("dtype", launch.dtype);
    out.attribute("flops", launch.flops);
    out.attribute("bytes", launch.bytes);
    out.attribute("cold_bytes", launch.coldBytes);
    out.attribute("bound", launch.bound());
    out.attribute("predicted_us", launch.us);
    writeInterval(out, launch.us, launch.sigma);
    if (measured)
      out.attribute("measured_us", us);
    out.attribute("peak_gflops", launch.peakGflops);
    out.attribute("share_of_peak", shareOfPeak(launch, e.price, us));
    writeRoofline(out, launch);
    if (launch.gpu)
      writeGrid(out, *launch.gpu);
    out.attributeBegin("schedule");
    writeSchedule(out, launch.schedule);
    out.attributeEnd();
    out.attribute("schedule_origin", launch.origin);
    out.attributeArray("rejected", [&] {
      for (const auto &[schedule, otherUs] : launch.rejected)
        out.object([&, &chosen = schedule, predicted = otherUs] {
          out.attribute("predicted_us", predicted);
          out.attributeBegin("schedule");
          writeSchedule(out, chosen);
          out.attributeEnd();
        });
    });
  });
}

std::string toJson(const Explanation &e) {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::json::OStream out(os, 1);
  out.object([&] {
    out.attribute("permalloy", "explain");
    out.attribute("version", 1);
    out.attribute("model", e.file);
    out.attribute("target", e.target);
    out.attribute("precision", e.precision);
    if (!e.price.gpu)
      out.attribute("threads", 1);
    out.attributeObject("sizes", [&] {
      for (const auto &[name, size] : e.sizes)
        out.attribute(name, size);
    });
    out.attribute("cost_model", e.price.model);
    out.attributeObject("machine", [&] { writeMachine(out, e.price); });
    writeRoofs(out, e.price);
    out.attribute("predicted_us", e.price.us);
    writeInterval(out, e.price.us, e.price.sigma);
    if (!e.measured.empty())
      out.attribute("measured_us", e.measuredUs());
    out.attribute("unpriced_launches", int64_t(e.price.unpriced));
    out.attribute("has_branches", e.price.hasBranches);
    if (!e.note.empty())
      out.attribute("note", e.note);
    out.attributeArray("launches", [&] {
      for (const LaunchPrice &launch : e.price.launches)
        writeLaunch(out, e, launch);
    });
    if (!e.plan.empty())
      out.attribute("plan", llvm::cantFail(llvm::json::parse(e.plan))); // as PrecisionPlan wrote it
  });
  return text + "\n";
}

std::string toHtml(const Explanation &e) {
  std::string page = kPage, json = toJson(e);
  // Inside <script> only this could end it; in JSON strings `<\/` is the same.
  for (size_t at = 0; (at = json.find("</", at)) != std::string::npos; at += 3)
    json.replace(at, 2, "<\\/");
  const std::string place = "/*REPORT*/";
  page.replace(page.find(place), place.size(), json);
  return page;
}

} // namespace permalloy

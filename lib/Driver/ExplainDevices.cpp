//===- ExplainDevices.cpp - what explain says of GPUs ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Explain.h"
#include "Report.h"

#include "permalloy/Support/Text.h"

namespace permalloy {

static std::string microseconds(double us) { return formatSeconds(us * 1e-6); }
static std::string percent(double share) { return formatNumber(100 * share, 2) + " %"; }
static std::string tera(double gflops) { return formatNumber(gflops / 1e3, 3); }

/// Of one run whose launches are replayed from a graph.
static double graphUs(const ProgramPrice &price) {
  return price.us - double(price.launches.size()) * (kGpuLaunchUs - kGpuGraphLaunchUs);
}

void printDevice(const Explanation &e, llvm::raw_ostream &os) {
  const GpuRates &gpu = *e.price.gpu;
  os << "launched from a graph " << microseconds(graphUs(e.price)) << "\n";
  os << gpu.device << ": " << gpu.multiprocessors << " multiprocessors, TFLOP/s " << tera(gpu.fma) << " f32, " << tera(gpu.tf32) << " tf32, "
     << tera(gpu.half) << " bf16, " << tera(gpu.int8) << " int8";
  if (gpu.mmaShare < 1)
    os << " (mma.sync " << percent(gpu.mmaShare) << " of them)";
  os << "; HBM " << formatNumber(gpu.memory, 4) << " GB/s, L2 " << formatNumber(gpu.l2, 4) << " GB/s (" << gpu.source
     << "; nothing was measured)\n";
}

void printDeviceKernels(const Explanation &e, llvm::raw_ostream &os) {
  Table table("  ");
  table.alignRight({2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14});
  table.row({"kernel", "form", "launches", "blocks", "threads", "registers", "shared", "occupancy", "waves", "predicted", "share", "bound",
             "of its peak", "FLOPs", "bytes", "nodes of the first"});
  for (const KernelSum &sum : sumsOf(e)) {
    const LaunchPrice &launch = *sum.first;
    const auto &[grid, estimate] = *launch.gpu;
    double each = sum.us / double(sum.launches.size());
    table.row({launch.kernel, grid.form, std::to_string(sum.launches.size()), formatNumber(grid.blocks, 9), std::to_string(grid.threads),
               (estimate.hasEstimatedRegisters ? "~" : "") + std::to_string(estimate.registers), formatBytes(grid.sharedBytes),
               formatNumber(100 * estimate.occupancy.share, 3) + " %", formatNumber(estimate.waves, 3), microseconds(sum.us), percent(e.price.us > 0 ? sum.us / e.price.us : 0),
               launch.bound(), percent(shareOfPeak(launch, e.price, each)), formatNumber(launch.flops, 3), formatBytes(uint64_t(launch.bytes)),
               launch.name.size() > 60 ? launch.name.substr(0, 57) + "..." : launch.name});
  }
  os << "kernels:\n";
  table.print(os);
}

void writeDevice(llvm::json::OStream &out, const GpuRates &gpu) {
  out.attribute("source", gpu.source);
  out.attribute("device", gpu.device);
  out.attribute("multiprocessors", gpu.multiprocessors);
  out.attribute("gigahertz", gpu.gigahertz);
  out.attribute("f32_gflops", gpu.fma);
  out.attribute("tf32_gflops", gpu.tf32);
  out.attribute("bf16_gflops", gpu.half);
  out.attribute("int8_gops", gpu.int8);
  out.attribute("mma_share", gpu.mmaShare);
  out.attribute("hbm_gbps", gpu.memory);
  out.attribute("l2_gbps", gpu.l2);
  out.attribute("l2_bytes", gpu.l2Bytes);
}

void writeGrid(llvm::json::OStream &out, const GpuPrice &price) {
  out.attributeObject("gpu", [&] {
    out.attribute("form", price.grid.form);
    out.attribute("blocks", price.grid.blocks);
    out.attribute("threads", price.grid.threads);
    out.attribute("registers", price.estimate.registers);
    out.attribute("registers_estimated", price.estimate.hasEstimatedRegisters);
    out.attribute("shared_bytes", price.grid.sharedBytes);
    out.attribute("blocks_at_once", price.estimate.occupancy.blocks);
    out.attribute("limit", price.estimate.occupancy.limit);
    out.attribute("occupancy", price.estimate.occupancy.share);
    out.attribute("waves", price.estimate.waves);
    out.attribute("hbm_bytes", price.estimate.memoryBytes);
    out.attribute("l2_bytes", price.estimate.l2Bytes);
  });
}

} // namespace permalloy

// RUN: permalloy-opt %s --check-interpret -o /dev/null
// RUN: permalloy-opt %s --check-weights="print" -o /dev/null | FileCheck %s
//
// Codes, scales and zero points: what they stand for, how they are packed, and that both evaluators agree.

// Three steps of K in groups of 2: the last group is short.
tfm.weight @signed : tensor<3x2x!tfm.q<s4, group 2>> {
  %0 = tfm.constant dense<[[1, -8], [7, -1], [3, 2]]> : tensor<3x2xi8>
  %1 = tfm.cast %0 : (tensor<3x2xi8>) -> tensor<3x2x!tfm.q<s4, group 2>>
  tfm.yield %1 : tensor<3x2x!tfm.q<s4, group 2>>
}
tfm.weight @unsigned : tensor<3x2x!tfm.q<u4, group 3>> {
  %0 = tfm.constant dense<[[1, 15], [7, 0], [3, 18]]> : tensor<3x2xui8>
  %1 = tfm.cast %0 : (tensor<3x2xui8>) -> tensor<3x2x!tfm.q<u4, group 3>>
  tfm.yield %1 : tensor<3x2x!tfm.q<u4, group 3>>
}

func.func @dequantize() {
  %c = tfm.get_weight @signed : tensor<3x2x!tfm.q<s4, group 2>>
  %s = tfm.constant dense<[[2.0, -1.0], [0.5, 4.0]]> : tensor<2x2xf16>
  %0 = tfm.dequantize %c, %s : (tensor<3x2x!tfm.q<s4, group 2>>, tensor<2x2xf16>) -> tensor<3x2xf32>
  %1 = tfm.constant dense<[[2.0, 8.0], [14.0, 1.0], [1.5, 8.0]]> : tensor<3x2xf32>
  check.expect_equal %0, %1 : tensor<3x2xf32>
  return
}

// Integers wrap into codes: 18 is 2.
func.func @zero_points() {
  %c = tfm.get_weight @unsigned : tensor<3x2x!tfm.q<u4, group 3>>
  %s = tfm.constant dense<[[2.0, 1.0]]> : tensor<1x2xf32>
  %z = tfm.constant dense<[[8, 1]]> : tensor<1x2xui8>
  %0 = tfm.dequantize %c, %s zero_points %z : (tensor<3x2x!tfm.q<u4, group 3>>, tensor<1x2xf32>, tensor<1x2xui8>) -> tensor<3x2xf32>
  %1 = tfm.constant dense<[[-14.0, 14.0], [-2.0, -1.0], [-10.0, 1.0]]> : tensor<3x2xf32>
  check.expect_equal %0, %1 : tensor<3x2xf32>
  %f = tfm.constant dense<[[8.0, 1.0]]> : tensor<1x2xf32>
  %2 = tfm.dequantize %c, %s zero_points %f : (tensor<3x2x!tfm.q<u4, group 3>>, tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<3x2xf32>
  check.expect_equal %2, %1 : tensor<3x2xf32>
  return
}

// Difference and product are those of f32: 5 * s is 1 + 2^-8 + 2^-25, in f32 a tie of bf16.
tfm.weight @five : tensor<1x1x!tfm.q<s8, group 1>> {
  %0 = tfm.constant dense<5> : tensor<1x1xi8>
  %1 = tfm.cast %0 : (tensor<1x1xi8>) -> tensor<1x1x!tfm.q<s8, group 1>>
  tfm.yield %1 : tensor<1x1x!tfm.q<s8, group 1>>
}
func.func @products_of_f32() {
  %c = tfm.get_weight @five : tensor<1x1x!tfm.q<s8, group 1>>
  %s = tfm.constant dense<0x3E4D999A> : tensor<1x1xf32>
  %0 = tfm.dequantize %c, %s : (tensor<1x1x!tfm.q<s8, group 1>>, tensor<1x1xf32>) -> tensor<1x1xbf16>
  %1 = tfm.constant dense<1.0> : tensor<1x1xbf16>
  check.expect_equal %0, %1 : tensor<1x1xbf16>
  return
}

func.func @codebook() {
  %c = tfm.get_weight @unsigned : tensor<3x2x!tfm.q<u4, group 3>>
  %s = tfm.constant dense<[[2.0, 1.0]]> : tensor<1x2xf32>
  %t = tfm.constant dense<[0.0, -1.0, 0.5, 3.0, 0.0, 0.0, 0.0, 7.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 9.0]> : tensor<16xf32>
  %0 = tfm.dequantize %c, %s codebook %t : (tensor<3x2x!tfm.q<u4, group 3>>, tensor<1x2xf32>, tensor<16xf32>) -> tensor<3x2xf32>
  %1 = tfm.constant dense<[[-2.0, 9.0], [14.0, 0.0], [6.0, 0.5]]> : tensor<3x2xf32>
  check.expect_equal %0, %1 : tensor<3x2xf32>
  return
}

func.func @unpack_bits() {
  %b = tfm.constant dense<[[33, 255], [4, 0]]> : tensor<2x2xui8>
  %0 = tfm.unpack_bits %b {bits = 4 : i64} : (tensor<2x2xui8>) -> tensor<2x4xui8>
  %1 = tfm.constant dense<[[1, 2, 15, 15], [4, 0, 0, 0]]> : tensor<2x4xui8>
  check.expect_equal %0, %1 : tensor<2x4xui8>
  %2 = tfm.unpack_bits %b {bits = 2 : i64} : (tensor<2x2xui8>) -> tensor<2x8xui8>
  %3 = tfm.constant dense<[[1, 0, 2, 0, 3, 3, 3, 3], [0, 1, 0, 0, 0, 0, 0, 0]]> : tensor<2x8xui8>
  check.expect_equal %2, %3 : tensor<2x8xui8>
  return
}

// A packed weight is the same weight: 19 steps of K and 21 columns, short in each direction.
tfm.weight @w : tensor<19x21xf32> = #tfm.seeded<5, 1.0>
// CHECK: @codes: 399 bytes
tfm.weight @codes : tensor<19x21x!tfm.q<s4, group 8>> {
  %0 = tfm.get_weight @w : tensor<19x21xf32>
  %1, %2 = tfm.quantize_weight %0 solver "rtn" : (tensor<19x21xf32>) -> (tensor<19x21x!tfm.q<s4, group 8>>, tensor<3x21xf16>)
  tfm.yield %1 : tensor<19x21x!tfm.q<s4, group 8>>
}
// CHECK: @scales: 126 bytes
tfm.weight @scales : tensor<3x21xf16> {
  %0 = tfm.get_weight @w : tensor<19x21xf32>
  %1, %2 = tfm.quantize_weight %0 solver "rtn" : (tensor<19x21xf32>) -> (tensor<19x21x!tfm.q<s4, group 8>>, tensor<3x21xf16>)
  tfm.yield %2 : tensor<3x21xf16>
}
// 2 panels of 3 rows of 64 bytes, each of 8 steps of K.
// CHECK: @codes.panels: 384 bytes
tfm.weight @codes.panels : tensor<19x21x!tfm.q<s4, group 8>, #tfm.panels> {
  %0 = tfm.get_weight @codes : tensor<19x21x!tfm.q<s4, group 8>>
  %1 = tfm.pack %0 : (tensor<19x21x!tfm.q<s4, group 8>>) -> tensor<19x21x!tfm.q<s4, group 8>, #tfm.panels>
  tfm.yield %1 : tensor<19x21x!tfm.q<s4, group 8>, #tfm.panels>
}
// CHECK: @scales.panels: 192 bytes
tfm.weight @scales.panels : tensor<3x21xf16, #tfm.panels> {
  %0 = tfm.get_weight @scales : tensor<3x21xf16>
  %1 = tfm.pack %0 : (tensor<3x21xf16>) -> tensor<3x21xf16, #tfm.panels>
  tfm.yield %1 : tensor<3x21xf16, #tfm.panels>
}
// Bytes: 2 panels of 5 rows of 64, each of 4 steps of K.
// CHECK: @bytes.panels: 640 bytes
tfm.weight @bytes.panels : tensor<19x21x!tfm.q<u6, group 32>, #tfm.panels> {
  %0 = tfm.get_weight @w : tensor<19x21xf32>
  %1, %2, %3 = tfm.quantize_weight %0 solver "rtn" : (tensor<19x21xf32>) -> (tensor<19x21x!tfm.q<u6, group 32>>, tensor<1x21xf32>, tensor<1x21xf32>)
  %4 = tfm.pack %1 : (tensor<19x21x!tfm.q<u6, group 32>>) -> tensor<19x21x!tfm.q<u6, group 32>, #tfm.panels>
  tfm.yield %4 : tensor<19x21x!tfm.q<u6, group 32>, #tfm.panels>
}
tfm.weight @zeros : tensor<1x21xf32> {
  %0 = tfm.get_weight @w : tensor<19x21xf32>
  %1, %2, %3 = tfm.quantize_weight %0 solver "rtn" : (tensor<19x21xf32>) -> (tensor<19x21x!tfm.q<u6, group 32>>, tensor<1x21xf32>, tensor<1x21xf32>)
  tfm.yield %3 : tensor<1x21xf32>
}
// A stack of matrices, packed; and integers of a byte.
tfm.weight @v : tensor<2x9x5xf32> = #tfm.seeded<6, 1.0>
// CHECK: @stack: 256 bytes
tfm.weight @stack : tensor<2x9x5x!tfm.q<s4, group 4>, #tfm.panels> {
  %0 = tfm.get_weight @v : tensor<2x9x5xf32>
  %1, %2 = tfm.quantize_weight %0 solver "absmax" : (tensor<2x9x5xf32>) -> (tensor<2x9x5x!tfm.q<s4, group 4>>, tensor<2x3x5xf32>)
  %3 = tfm.pack %1 : (tensor<2x9x5x!tfm.q<s4, group 4>>) -> tensor<2x9x5x!tfm.q<s4, group 4>, #tfm.panels>
  tfm.yield %3 : tensor<2x9x5x!tfm.q<s4, group 4>, #tfm.panels>
}

func.func @packed() {
  %c = tfm.get_weight @codes : tensor<19x21x!tfm.q<s4, group 8>>
  %s = tfm.get_weight @scales : tensor<3x21xf16>
  %cp = tfm.get_weight @codes.panels : tensor<19x21x!tfm.q<s4, group 8>, #tfm.panels>
  %sp = tfm.get_weight @scales.panels : tensor<3x21xf16, #tfm.panels>
  %0 = tfm.dequantize %c, %s : (tensor<19x21x!tfm.q<s4, group 8>>, tensor<3x21xf16>) -> tensor<19x21xf32>
  %1 = tfm.dequantize %cp, %sp : (tensor<19x21x!tfm.q<s4, group 8>, #tfm.panels>, tensor<3x21xf16, #tfm.panels>) -> tensor<19x21xf32>
  check.expect_equal %0, %1 : tensor<19x21xf32>
  %w = tfm.get_weight @w : tensor<19x21xf32>
  check.expect_close %0, %w {rtol = 0.0 : f64, atol = 0.13 : f64} : tensor<19x21xf32>
  return
}

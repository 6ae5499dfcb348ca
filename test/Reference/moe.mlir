// RUN: permalloy-opt %s --check-interpret -o /dev/null
//
// Experts that multiply by a number: 1, 10 and 100 times the input.

// Weights: softmax of (ln 1, ln 2, ln 5) = 1/8, 2/8, 5/8; the two largest give 2/7 and 5/7 when normalised.
func.func @test_scores() {
  %x = tfm.constant dense<[[1.0, 2.0]]> : tensor<1x2xf32>
  %logits = tfm.constant dense<[[0.0, 0.693147180559945, 1.609437912434100]]> : tensor<1x3xf32>
  %up = tfm.constant dense<[[[1.0, 0.0], [0.0, 1.0]], [[10.0, 0.0], [0.0, 10.0]], [[100.0, 0.0], [0.0, 100.0]]]> : tensor<3x2x2xf32>
  %down = tfm.constant dense<[[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]]> : tensor<3x2x2xf32>
  %plain = tfm.moe %x, %logits, %up, %down {top_k = 2 : i64} : (tensor<1x2xf32>, tensor<1x3xf32>, tensor<3x2x2xf32>, tensor<3x2x2xf32>) -> tensor<1x2xf32>
  %normal = tfm.moe %x, %logits, %up, %down {top_k = 2 : i64, normalize} : (tensor<1x2xf32>, tensor<1x3xf32>, tensor<3x2x2xf32>, tensor<3x2x2xf32>) -> tensor<1x2xf32>
  %top = tfm.moe %x, %logits, %up, %down score top_softmax {top_k = 2 : i64} : (tensor<1x2xf32>, tensor<1x3xf32>, tensor<3x2x2xf32>, tensor<3x2x2xf32>) -> tensor<1x2xf32>
  %e = tfm.constant dense<[[65.0, 130.0]]> : tensor<1x2xf32>
  %f = tfm.constant dense<[[74.2857142857, 148.5714285714]]> : tensor<1x2xf32>
  check.expect_close %plain, %e {rtol = 1.0e-6 : f64} : tensor<1x2xf32>
  check.expect_close %normal, %f {rtol = 1.0e-6 : f64} : tensor<1x2xf32>
  check.expect_close %top, %f {rtol = 1.0e-6 : f64} : tensor<1x2xf32>
  return
}

// relu(x * up + up_bias) * down + down_bias of the one expert; equal logits choose the lower one.
func.func @test_biases_and_ties() {
  %x = tfm.constant dense<[[[1.0], [-4.0]]]> : tensor<1x2x1xf32>
  %logits = tfm.constant dense<[[[3.0, 3.0], [0.0, 1.0]]]> : tensor<1x2x2xf32>
  %up = tfm.constant dense<[[[2.0, -2.0]], [[3.0, -3.0]]]> : tensor<2x1x2xf32>
  %down = tfm.constant dense<[[[1.0], [10.0]], [[1.0], [100.0]]]> : tensor<2x2x1xf32>
  %ub = tfm.constant dense<[[1.0, 0.0], [0.0, -2.0]]> : tensor<2x2xf32>
  %db = tfm.constant dense<[[0.5], [0.25]]> : tensor<2x1xf32>
  %y = tfm.moe %x, %logits, %up, %down up_bias %ub down_bias %db activation relu {top_k = 1 : i64, normalize} : (tensor<1x2x1xf32>, tensor<1x2x2xf32>, tensor<2x1x2xf32>, tensor<2x2x1xf32>, tensor<2x2xf32>, tensor<2x1xf32>) -> tensor<1x2x1xf32>
  %e = tfm.constant dense<[[[3.5], [1000.25]]]> : tensor<1x2x1xf32>
  check.expect_close %y, %e {rtol = 1.0e-6 : f64} : tensor<1x2x1xf32>
  return
}

// The first half is the gate: silu(g) * u.
func.func @test_gated() {
  %x = tfm.constant dense<[[1.0]]> : tensor<1x1xf32>
  %logits = tfm.constant dense<[[3.0]]> : tensor<1x1xf32>
  %up = tfm.constant dense<[[[2.0, 5.0]]]> : tensor<1x1x2xf32>
  %down = tfm.constant dense<[[[1.0]]]> : tensor<1x1x1xf32>
  %y = tfm.moe %x, %logits, %up, %down activation silu {gated, top_k = 1 : i64} : (tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1x2xf32>, tensor<1x1x1xf32>) -> tensor<1x1xf32>
  %e = tfm.constant dense<[[8.80797077978]]> : tensor<1x1xf32>
  check.expect_close %y, %e {rtol = 1.0e-6 : f64} : tensor<1x1xf32>
  return
}

func.func @test_group_by() {
  %x = tfm.constant dense<[[2, 0], [3, 2], [0, 2]]> : tensor<3x2xi64>
  %r = tfm.group_by %x {groups = 4 : i64} : (tensor<3x2xi64>) -> tensor<11xi64>
  %e = tfm.constant dense<[0, 2, 2, 5, 6, 1, 4, 0, 3, 5, 2]> : tensor<11xi64>
  check.expect_equal %r, %e : tensor<11xi64>
  return
}

func.func @test_grouped_linear() {
  %x = tfm.constant dense<[[1.0], [2.0], [3.0]]> : tensor<3x1xf32>
  %groups = tfm.constant dense<[0, 2, 6, 1, 4, 0, 2, 3, 5]> : tensor<9xi64>
  %w = tfm.constant dense<[[[1.0, -1.0]], [[10.0, -10.0]]]> : tensor<2x1x2xf32>
  %r = tfm.grouped_linear %x, %groups, %w {repeat = 2 : i64} : (tensor<3x1xf32>, tensor<9xi64>, tensor<2x1x2xf32>) -> tensor<6x2xf32>
  %e = tfm.constant dense<[[10.0, -10.0], [1.0, -1.0], [20.0, -20.0], [20.0, -20.0], [3.0, -3.0], [30.0, -30.0]]> : tensor<6x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-6 : f64} : tensor<6x2xf32>
  return
}

// Experts of bf16, logits and sums of f32: the hidden rows are bf16 once the mixture is expanded.
func.func @test_bf16_experts() {
  %x = tfm.constant dense<[[1.0, 2.0]]> : tensor<1x2xbf16>
  %l = tfm.constant dense<[[0.0, 1.0]]> : tensor<1x2xf32>
  %u = tfm.constant dense<[[[1.0], [1.0]], [[0.5], [0.25]]]> : tensor<2x2x1xbf16>
  %d = tfm.constant dense<[[[1.0, 1.0]], [[3.0, -1.0]]]> : tensor<2x1x2xbf16>
  %r = tfm.moe %x, %l, %u, %d {normalize, top_k = 1 : i64} : (tensor<1x2xbf16>, tensor<1x2xf32>, tensor<2x2x1xbf16>, tensor<2x1x2xbf16>) -> tensor<1x2xf32>
  %e = tfm.constant dense<[[3.0, -1.0]]> : tensor<1x2xf32>
  check.expect_equal %r, %e : tensor<1x2xf32>
  return
}

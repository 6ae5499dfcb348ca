// RUN: permalloy-opt %s --check-interpret -split-input-file -verify-diagnostics

func.func @test_holds() {
  %0 = tfm.constant dense<[-1.0, 2.0]> : tensor<2xf32>
  %1 = tfm.unary relu %0 : (tensor<2xf32>) -> tensor<2xf32>
  %2 = tfm.constant dense<[0.0, 2.0]> : tensor<2xf32>
  check.expect_equal %1, %2 : tensor<2xf32>
  check.expect_close %1, %2 {rtol = 0.0 : f64} : tensor<2xf32>
  return
}

// -----

func.func @test_names_the_worst_element() {
  %0 = tfm.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %1 = tfm.constant dense<[[1.0, 2.5], [3.0, 5.0]]> : tensor<2x2xf32>
  // expected-error@+1 {{element [1, 1] is 4, expected 5 (2 of 4 elements differ)}}
  check.expect_close %0, %1 : tensor<2x2xf32>
  return
}
// Runs although the function above failed.
func.func @test_zero_signs_differ() {
  %0 = tfm.constant dense<-0.0> : tensor<f32>
  %1 = tfm.constant dense<0.0> : tensor<f32>
  check.expect_close %0, %1 : tensor<f32>
  // expected-error@+1 {{element [] is -0, expected 0 (1 of 1 elements differ)}}
  check.expect_equal %0, %1 : tensor<f32>
  return
}

// -----

func.func @test_not_a_number() {
  %0 = tfm.constant dense<[0x7FC00000, 0x7F800000, 1.0]> : tensor<3xf32>
  %1 = tfm.constant dense<[0xFFC00001, 0x7F800000, 1.0]> : tensor<3xf32>
  check.expect_equal %0, %1 : tensor<3xf32>
  %2 = tfm.constant dense<[0x7FC00000, 0xFF800000, 1.0]> : tensor<3xf32>
  // expected-error@+1 {{element [1] is inf, expected -inf}}
  check.expect_close %0, %2 : tensor<3xf32>
  return
}

// -----

func.func @test_run_time_error() {
  %0 = tfm.constant dense<[1, 2]> : tensor<2xi64>
  %1 = tfm.constant dense<0> : tensor<i64>
  // expected-error@+1 {{integer division of 1 by zero}}
  %2 = tfm.binary div %0, %1 : (tensor<2xi64>, tensor<i64>) -> tensor<2xi64>
  check.expect_equal %2, %0 : tensor<2xi64>
  return
}

// -----

// Functions with arguments, or without assertions, are not run.
func.func @other(%x: tensor<2xi64>) {
  check.expect_equal %x, %x : tensor<2xi64>
  return
}

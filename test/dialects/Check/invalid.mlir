// RUN: permalloy-opt %s -split-input-file -verify-diagnostics

func.func @f(%a: tensor<2xf32>) {
  // expected-error@+1 {{has tolerance -1.000000e+00; it must be finite and not negative (expect_close_c2)}}
  check.expect_close %a, %a {rtol = -1.0 : f64} : tensor<2xf32>
  return
}

// -----

func.func @f(%a: tensor<2xf32>) {
  // expected-error@+1 {{it must be finite and not negative (expect_close_c2)}}
  check.expect_close %a, %a {atol = 0x7FF0000000000000 : f64} : tensor<2xf32>
  return
}

// -----

func.func @f(%a: tensor<2xf32>, %b: tensor<3xf32>) {
  // expected-error@+1 {{requires all operands to have the same type}}
  "check.expect_close"(%a, %b) : (tensor<2xf32>, tensor<3xf32>) -> ()
  return
}

// -----

func.func @f(%a: tensor<2xf32>, %b: tensor<3xf32>) {
  // expected-error@+1 {{requires all operands to have the same type}}
  "check.expect_equal"(%a, %b) : (tensor<2xf32>, tensor<3xf32>) -> ()
  return
}

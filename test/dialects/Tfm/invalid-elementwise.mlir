// RUN: permalloy-opt %s -split-input-file -verify-diagnostics

func.func @f(%a: tensor<2xi32>) {
  // expected-error@+1 {{exp does not take elements 'i32' (unary_c1)}}
  %0 = tfm.unary exp %a : (tensor<2xi32>) -> tensor<2xi32>
  return
}

// -----

func.func @f(%a: tensor<2xi1>) {
  // expected-error@+1 {{neg does not take elements 'i1' (unary_c1)}}
  %0 = tfm.unary neg %a : (tensor<2xi1>) -> tensor<2xi1>
  return
}

// -----

func.func @f(%a: tensor<2xf32>) {
  // expected-error@+1 {{not does not take elements 'f32' (unary_c1)}}
  %0 = tfm.unary not %a : (tensor<2xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @f(%a: tensor<2xf32>) {
  // expected-error@+1 {{declares elements 'f32' but its operands give 'i1'}}
  %0 = tfm.unary isnan %a : (tensor<2xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @f(%a: tensor<2xf32>) {
  // expected-error@+1 {{declares result [3] but its operands give [2]}}
  %0 = tfm.unary exp %a : (tensor<2xf32>) -> tensor<3xf32>
  return
}

// -----

func.func @f(%a: tensor<2xf32>, %b: tensor<2xf16>) {
  // expected-error@+1 {{add does not take elements 'f32' and 'f16' (binary_c1)}}
  %0 = tfm.binary add %a, %b : (tensor<2xf32>, tensor<2xf16>) -> tensor<2xf32>
  return
}

// -----

func.func @f(%a: tensor<2xi1>) {
  // expected-error@+1 {{add does not take elements 'i1' and 'i1' (binary_c1)}}
  %0 = tfm.binary add %a, %a : (tensor<2xi1>, tensor<2xi1>) -> tensor<2xi1>
  return
}

// -----

func.func @f(%a: tensor<2xi32>) {
  // expected-error@+1 {{and does not take elements 'i32' and 'i32' (binary_c1)}}
  %0 = tfm.binary and %a, %a : (tensor<2xi32>, tensor<2xi32>) -> tensor<2xi32>
  return
}

// -----

func.func @f(%a: tensor<2xf32>, %b: tensor<3xf32>) {
  // expected-error@+1 {{shapes [2] and [3] do not broadcast (binary_c2)}}
  %0 = tfm.binary add %a, %b : (tensor<2xf32>, tensor<3xf32>) -> tensor<3xf32>
  return
}

// -----

func.func @f(%a: tensor<2xf32>, %b: tensor<2xf64>) {
  // expected-error@+1 {{compares elements 'f32' and 'f64' (compare_c1)}}
  %0 = tfm.compare lt %a, %b : (tensor<2xf32>, tensor<2xf64>) -> tensor<2xi1>
  return
}

// -----

func.func @f(%a: tensor<2xf32>, %b: tensor<4xf32>) {
  // expected-error@+1 {{shapes [2] and [4] do not broadcast (compare_c2)}}
  %0 = tfm.compare lt %a, %b : (tensor<2xf32>, tensor<4xf32>) -> tensor<4xi1>
  return
}

// -----

func.func @f(%a: tensor<2xi1>, %b: tensor<2xf32>, %c: tensor<2xf64>) {
  // expected-error@+1 {{chooses between elements 'f32' and 'f64' (select_c1)}}
  %0 = tfm.select %a, %b, %c : (tensor<2xi1>, tensor<2xf32>, tensor<2xf64>) -> tensor<2xf32>
  return
}

// -----

func.func @f(%a: tensor<2xi1>, %b: tensor<3xf32>) {
  // expected-error@+1 {{shapes [2] and [3] do not broadcast (select_c2)}}
  %0 = tfm.select %a, %b, %b : (tensor<2xi1>, tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{axes must be sorted, distinct and below rank 2 (reduce_c1)}}
  %0 = tfm.reduce sum %a axes [1, 0] : (tensor<2x3xf32>) -> tensor<f32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{axes must be sorted, distinct and below rank 2 (reduce_c1)}}
  %0 = tfm.reduce sum %a axes [-1] : (tensor<2x3xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{axes must be sorted, distinct and below rank 2 (reduce_c1)}}
  %0 = tfm.reduce sum %a axes [2] : (tensor<2x3xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{all does not take elements 'f32' (reduce_c2)}}
  %0 = tfm.reduce all %a axes [1] : (tensor<2x3xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xi1>) {
  // expected-error@+1 {{sum does not take elements 'i1' (reduce_c2)}}
  %0 = tfm.reduce sum %a axes [1] : (tensor<2x3xi1>) -> tensor<2xi1>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{declares result [2] but its operands give [2, 1]}}
  %0 = tfm.reduce sum %a axes [1] {keep_dims} : (tensor<2x3xf32>) -> tensor<2xf32>
  return
}

// RUN: permalloy-opt %s -split-input-file -verify-diagnostics

// expected-error@+1 {{needs either a source or a body, not both or none (weight_c1)}}
tfm.weight @w : tensor<2xf32>

// -----

// expected-error@+1 {{needs either a source or a body, not both or none (weight_c1)}}
tfm.weight @w : tensor<2xf32> = #tfm.seeded<1, 1.0> {
  %0 = tfm.constant dense<1.0> : tensor<2xf32>
  tfm.yield %0 : tensor<2xf32>
}

// -----

// expected-error@+1 {{must have a static type, not 'tensor<?xf32>' (weight_c2)}}
tfm.weight @w : tensor<?xf32> = #tfm.seeded<1, 1.0>

// -----

// expected-error@+1 {{body must yield one value of type 'tensor<2xf32>' (weight_c3)}}
tfm.weight @w : tensor<2xf32> {
  %0 = tfm.constant dense<1.0> : tensor<3xf32>
  tfm.yield %0 : tensor<3xf32>
}

// -----

// expected-error@+1 {{source must be #tfm.file or #tfm.seeded, not "zeros" (weight_c4)}}
tfm.weight @w : tensor<2xf32> = "zeros"

// -----

// expected-error@+1 {{a seeded weight must have floating-point elements, not 'i8' (weight_c4)}}
tfm.weight @w : tensor<2xi8> = #tfm.seeded<1, 1.0>

// -----

func.func @f() {
  // expected-error@+1 {{refers to @w, which is no tfm.weight (get_weight_c1)}}
  %0 = tfm.get_weight @w : tensor<2xf32>
  return
}

// -----

// expected-note@+1 {{weight declared here}}
tfm.weight @w : tensor<2xf32> = #tfm.seeded<1, 1.0>
func.func @f() {
  // expected-error@+1 {{has type 'tensor<3xf32>' but the weight is 'tensor<2xf32>' (get_weight_c1)}}
  %0 = tfm.get_weight @w : tensor<3xf32>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{of 1 values cannot have type 'tensor<2xi64>' (dim_values_c1)}}
  %0 = tfm.dim_values [#tfm.dim<n>] : tensor<2xi64>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{of 1 values cannot have type 'tensor<1xf32>' (dim_values_c1)}}
  %0 = tfm.dim_values [#tfm.dim<n>] : tensor<1xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{declares result [3] but its operands give [2]}}
  %0 = tfm.shape_of %a : (tensor<2x3xf32>) -> tensor<3xi64>
  return
}

// -----

func.func @f(%a: tensor<i64>) {
  // expected-error@+1 {{takes start, limit and delta, or from and size (range_c1)}}
  %0 = tfm.range %a, %a : (tensor<i64>, tensor<i64>) -> tensor<?xi64>
  return
}

// -----

func.func @f(%a: tensor<1xi64>) {
  // expected-error@+1 {{takes scalars of type 'i64', not 'tensor<1xi64>' (range_c1)}}
  %0 = tfm.range %a, %a, %a : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?xi64>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{with from and size must have integer elements, not 'f32' (range_c1)}}
  %0 = tfm.range from #tfm.dim<0> size #tfm.dim<n> step 1 : () -> tensor<?xf32>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{declares result [4] but its operands give [3]}}
  %0 = tfm.range from #tfm.dim<0> size #tfm.dim<3> step 1 : () -> tensor<4xi64>
  return
}

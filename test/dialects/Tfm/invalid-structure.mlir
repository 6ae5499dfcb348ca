// RUN: permalloy-opt %s -split-input-file -verify-diagnostics

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{needs either a shape operand or dims (reshape_c1)}}
  %0 = tfm.reshape %a : (tensor<2x3xf32>) -> tensor<6xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<1xi64>) {
  // expected-error@+1 {{needs either a shape operand or dims (reshape_c1)}}
  %0 = tfm.reshape %a shape %b dims [#tfm.dim<6>] : (tensor<2x3xf32>, tensor<1xi64>) -> tensor<6xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{from 'tensor<2x3xf32>' to 'tensor<5xf32>' changes the number of elements (reshape_c2)}}
  %0 = tfm.reshape %a dims [#tfm.dim<5>] : (tensor<2x3xf32>) -> tensor<5xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  %s = tfm.constant dense<[-1, -1]> : tensor<2xi64>
  // expected-error@+1 {{more than one dimension of the shape is -1 (reshape_c3)}}
  %0 = tfm.reshape %a shape %s : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  %s = tfm.constant dense<[2, 3, 0]> : tensor<3xi64>
  // expected-error@+1 {{shape element 2 is 0 (copy) but the input has rank 2 (reshape_c3)}}
  %0 = tfm.reshape %a shape %s : (tensor<2x3xf32>, tensor<3xi64>) -> tensor<2x3x?xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<?xi64>) {
  // expected-error@+1 {{the shape operand of a reshape has a dynamic length; a result of unknown rank is unsupported}}
  %0 = tfm.reshape %a shape %b : (tensor<2x3xf32>, tensor<?xi64>) -> tensor<?xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{declares elements 'i32' but its operands give 'f32'}}
  %0 = tfm.reshape %a dims [#tfm.dim<n>] : (tensor<2x3xf32>) -> tensor<?xi32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{needs either a shape operand or dims (broadcast_c1)}}
  %0 = tfm.broadcast %a : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{input [2, 3] does not broadcast to [4, 3] (broadcast_c2)}}
  %0 = tfm.broadcast %a dims [#tfm.dim<4>, #tfm.dim<3>] : (tensor<2x3xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{input [2, 3] does not broadcast to [3] (broadcast_c2)}}
  %0 = tfm.broadcast %a dims [#tfm.dim<3>] : (tensor<2x3xf32>) -> tensor<3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  %s = tfm.constant dense<[4, 3]> : tensor<2xi64>
  // expected-error@+1 {{input [2, 3] does not broadcast with shape [4, 3] (broadcast_c2)}}
  %0 = tfm.broadcast %a shape %s : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<?xi64>) {
  // expected-error@+1 {{the shape operand of a broadcast has a dynamic length; a result of unknown rank is unsupported}}
  %0 = tfm.broadcast %a shape %b : (tensor<2x3xf32>, tensor<?xi64>) -> tensor<?xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{perm is no permutation of 2 dimensions (transpose_c1)}}
  %0 = tfm.transpose %a [0, 0] : (tensor<2x3xf32>) -> tensor<2x2xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{perm is no permutation of 2 dimensions (transpose_c1)}}
  %0 = tfm.transpose %a [0] : (tensor<2x3xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{declares result [2, 3] but its operands give [3, 2]}}
  %0 = tfm.transpose %a [1, 0] : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<2xi64>) {
  // expected-error@+1 {{axis 2 is outside of rank 2 (gather_c1)}}
  %0 = tfm.gather %a, %b {axis = 2 : i64} : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<2xi64>) {
  // expected-error@+1 {{axis -1 is outside of rank 2 (gather_c1)}}
  %0 = tfm.gather %a, %b {axis = -1 : i64} : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<2x2xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<?x?xi64>) {
  // expected-error@+1 {{the last dimension of the indices of gather_nd must be static (gather_nd_c1)}}
  %0 = tfm.gather_nd %a, %b : (tensor<2x3xf32>, tensor<?x?xi64>) -> tensor<?xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<4x3xi64>) {
  // expected-error@+1 {{index tuples of length 3 after 0 batch dimensions do not fit rank 2}}
  %0 = tfm.gather_nd %a, %b : (tensor<2x3xf32>, tensor<4x3xi64>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{needs starts, ends and axes, or offsets, sizes and strides (slice_c1)}}
  %0 = tfm.slice %a : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{needs offsets, sizes and strides of length 2 and no operands (slice_c1)}}
  %0 = tfm.slice %a offsets [#tfm.dim<0>] sizes [#tfm.dim<2>] strides [1] : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{has a stride of 0 (slice_c2)}}
  %0 = tfm.slice %a offsets [#tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<2>, #tfm.dim<3>] strides [1, 0] : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<1xi64>) {
  // expected-error@+1 {{axis 2 is outside of rank 2 (slice_c1)}}
  %0 = tfm.slice %a starts %b ends %b axes [2] : (tensor<2x3xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  %s = tfm.constant dense<0> : tensor<1xi64>
  // expected-error@+1 {{a step of the slice is 0 (slice_c2)}}
  %0 = tfm.slice %a starts %s ends %s steps %s axes [0] : (tensor<2x3xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<0x3xf32>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{concat needs at least one input (concat_c1)}}
  %0 = "tfm.concat"() {axis = 0 : i64} : () -> tensor<2xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{axis 2 is outside of rank 2 (concat_c1)}}
  %0 = tfm.concat %a, %a {axis = 2 : i64} : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<2xf32>) {
  // expected-error@+1 {{inputs of rank 2 and 1 cannot be joined (concat_c1)}}
  %0 = tfm.concat %a, %b {axis = 0 : i64} : (tensor<2x3xf32>, tensor<2xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<2x4xf32>) {
  // expected-error@+1 {{dimension 1 is 3 in one input and 4 in another (concat_c2)}}
  %0 = tfm.concat %a, %b {axis = 0 : i64} : (tensor<2x3xf32>, tensor<2x4xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<2x3xf16>) {
  // expected-error@+1 {{joins elements 'f16' into 'f32' (concat_c3)}}
  %0 = tfm.concat %a, %b {axis = 0 : i64} : (tensor<2x3xf32>, tensor<2x3xf16>) -> tensor<4x3xf32>
  return
}

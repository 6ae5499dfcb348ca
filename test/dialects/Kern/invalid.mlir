// RUN: permalloy-opt %s -split-input-file -verify-diagnostics

// expected-error@+1 {{has 1 arguments but 0 arg_dims (kernel_c1)}}
kern.kernel @k row attributes {symbols = ["d0"], arg_dims = []} {
^bb0(%x: tensor<?xf32>):
  %0 = tfm.unary relu %x : (tensor<?xf32>) -> tensor<?xf32>
  kern.yield %0 : tensor<?xf32>
}

// -----

// expected-error@+1 {{arg_dims [#tfm.dim<d0>, #tfm.dim<2>] do not fit argument 'tensor<?xf32>' (kernel_c1)}}
kern.kernel @k row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<2>]]} {
^bb0(%x: tensor<?xf32>):
  %0 = tfm.unary relu %x : (tensor<?xf32>) -> tensor<?xf32>
  kern.yield %0 : tensor<?xf32>
}

// -----

// expected-error@+1 {{must end in kern.yield with at least one value (kernel_c2)}}
kern.kernel @k row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>]]} {
^bb0(%x: tensor<?xf32>):
  "kern.yield"() : () -> ()
}

// -----

func.func @f(%x: tensor<?xf32>) {
  // expected-error@+1 {{refers to @k, which is no kern.kernel (launch_c1)}}
  %0 = kern.launch @k(%x) scalars [] : (tensor<?xf32>) -> tensor<?xf32>
  return
}

// -----

// expected-note@+1 {{kernel declared here}}
kern.kernel @k row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>]]} {
^bb0(%x: tensor<?xf32>):
  %0 = tfm.unary relu %x : (tensor<?xf32>) -> tensor<?xf32>
  kern.yield %0 : tensor<?xf32>
}
func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{types differ from those of @k (launch_c1)}}
  %0 = kern.launch @k(%x) scalars [#tfm.dim<4>] : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

kern.kernel @k row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>]]} {
^bb0(%x: tensor<?xf32>):
  %0 = tfm.unary relu %x : (tensor<?xf32>) -> tensor<?xf32>
  kern.yield %0 : tensor<?xf32>
}
func.func @f(%x: tensor<?xf32>) {
  // expected-error@+1 {{gives 0 scalars to a kernel of 1 symbols (launch_c2)}}
  %0 = kern.launch @k(%x) scalars [] : (tensor<?xf32>) -> tensor<?xf32>
  return
}

// -----

func.func @f(%x: tensor<?x?xf32>) {
  // expected-error@+1 {{needs a past and a cache of rank 4 and one element type, not 'tensor<?x?xf32>' and 'tensor<?x?xf32>' (cache_c1)}}
  %0 = kern.cache 0 %x least #tfm.dim<n> dims [#tfm.dim<n>, #tfm.dim<n>] : tensor<?x?xf32> to tensor<?x?xf32>
  return
}

// -----

func.func @f(%x: tensor<1x2x?x4xf32>) {
  // expected-error@+1 {{needs four dims, the third a symbol, not [#tfm.dim<1>, #tfm.dim<2>, #tfm.dim<7>, #tfm.dim<4>] (cache_c2)}}
  %0 = kern.cache 0 %x least #tfm.dim<n> dims [#tfm.dim<1>, #tfm.dim<2>, #tfm.dim<7>, #tfm.dim<4>] : tensor<1x2x?x4xf32> to tensor<1x2x?x4xf32>
  return
}

// -----

func.func @f(%x: tensor<1x2x?x4xf32>) {
  // expected-error@+1 {{needs four dims and tensors of rank 4 and one element type, not [#tfm.dim<n>], 'tensor<1x2x?x4xf32>' and 'tensor<1x2x?x4xf16>' (cache_view_c1)}}
  %0 = kern.cache_view 0 %x dims [#tfm.dim<n>] : tensor<1x2x?x4xf32> to tensor<1x2x?x4xf16>
  return
}

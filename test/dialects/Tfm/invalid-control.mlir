// RUN: permalloy-opt %s --split-input-file --verify-diagnostics

func.func private @f(%x: tensor<2xf32>) -> tensor<2xf32>

func.func @if_c1(%c: tensor<2xi1>, %x: tensor<2xf32>) -> tensor<2xf32> {
  // expected-error @+1 {{has a condition of type 'tensor<2xi1>', which has not one element (if_c1)}}
  %0 = tfm.if %c then @f else @f captures(%x) dims [[#tfm.dim<2>]] : (tensor<2xi1>, tensor<2xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}

// -----

func.func private @f(%x: tensor<2xf32>) -> tensor<2xf32>
func.func private @g(%x: tensor<2xf32>) -> tensor<2xi64>

func.func @if_c2(%c: tensor<i1>, %x: tensor<2xf32>) -> tensor<2xf32> {
  // expected-error @+1 {{expects @g to take ('tensor<2xf32>') and return ('tensor<2xf32>'), but it takes ('tensor<2xf32>') and returns ('tensor<2xi64>') (if_c2)}}
  %0 = tfm.if %c then @f else @g captures(%x) dims [[#tfm.dim<2>]] : (tensor<i1>, tensor<2xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}

// -----

func.func private @f(%x: tensor<2xf32>) -> tensor<2xf32>

func.func @if_c3(%c: tensor<i1>, %x: tensor<2xf32>) -> tensor<2xf32> {
  // expected-error @+1 {{has dims [] for a result of type 'tensor<2xf32>' (if_c3)}}
  %0 = tfm.if %c then @f else @f captures(%x) dims [[]] : (tensor<i1>, tensor<2xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}

// -----

func.func @while_c2(%c: tensor<i1>, %x: tensor<2xf32>) -> tensor<2xf32> {
  // expected-error @+1 {{names @body, which is no function (while_c2)}}
  %0 = tfm.while %c do @body carried(%x) captures() dims [[#tfm.dim<2>]] : (tensor<i1>, tensor<2xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}

// -----

func.func private @body(%x: tensor<2xf32>) -> (tensor<i1>, tensor<2xf32>)

func.func @while_c4(%c: tensor<i1>, %x: tensor<2xf32>) -> tensor<2xi64> {
  // expected-error @+1 {{carries ('tensor<2xf32>') but results in ('tensor<2xi64>') (while_c4)}}
  %0 = tfm.while %c do @body carried(%x) captures() dims [[#tfm.dim<2>]] : (tensor<i1>, tensor<2xf32>) -> tensor<2xi64>
  return %0 : tensor<2xi64>
}

// RUN: permalloy-opt %s --check-interpret -o /dev/null

// Kernels bind their symbols to the scalars of a launch; views only change dimensions.

kern.kernel @gelu row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<2>]]} {
^bb0(%x: tensor<?x2xf32>):
  %0 = tfm.unary relu %x : (tensor<?x2xf32>) -> tensor<?x2xf32>
  %1 = tfm.reshape %0 dims [#tfm.dim<2 * d0>] : (tensor<?x2xf32>) -> tensor<?xf32>
  %2 = tfm.range from #tfm.dim<d0> size #tfm.dim<d0 + 1> step 1 : () -> tensor<?xi64>
  kern.yield %1, %2 : tensor<?xf32>, tensor<?xi64>
}

func.func @test_launch() {
  %0 = tfm.constant dense<[[[1.0, -2.0], [-3.0, 4.0]]]> : tensor<1x2x2xf32>
  %1 = kern.view %0 dims [#tfm.dim<2>, #tfm.dim<2>] : tensor<1x2x2xf32> to tensor<?x2xf32>
  %2:2 = kern.launch @gelu(%1) scalars [#tfm.dim<2>] : (tensor<?x2xf32>) -> (tensor<?xf32>, tensor<?xi64>)
  %3 = tfm.reshape %2#0 dims [#tfm.dim<4>] : (tensor<?xf32>) -> tensor<4xf32>
  %4 = tfm.constant dense<[1.0, 0.0, 0.0, 4.0]> : tensor<4xf32>
  check.expect_equal %3, %4 : tensor<4xf32>
  %5 = tfm.reshape %2#1 dims [#tfm.dim<3>] : (tensor<?xi64>) -> tensor<3xi64>
  %6 = tfm.constant dense<[2, 3, 4]> : tensor<3xi64>
  check.expect_equal %5, %6 : tensor<3xi64>
  return
}

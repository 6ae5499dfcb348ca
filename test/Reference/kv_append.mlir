// RUN: permalloy-opt %s --check-interpret -o /dev/null

// Two heads; rows 1 and 2 of each are replaced, the others keep.
func.func @test_append() {
  %cache = tfm.constant dense<[[[[1.0], [2.0], [3.0], [4.0]], [[5.0], [6.0], [7.0], [8.0]]]]> : tensor<1x2x4x1xf32>
  %rows = tfm.constant dense<[[[[-1.0], [-2.0]], [[-3.0], [-4.0]]]]> : tensor<1x2x2x1xf32>
  %0 = tfm.kv_append %cache at #tfm.dim<1>, %rows : (tensor<1x2x4x1xf32>, tensor<1x2x2x1xf32>) -> tensor<1x2x4x1xf32>
  %1 = tfm.constant dense<[[[[1.0], [-1.0], [-2.0], [4.0]], [[5.0], [-3.0], [-4.0], [8.0]]]]> : tensor<1x2x4x1xf32>
  check.expect_equal %0, %1 : tensor<1x2x4x1xf32>
  return
}

// The live rows of a cache are the past and what was appended; the capacity is nobody's business.
func.func @test_cache() {
  %past = tfm.constant dense<[[[[1.0], [2.0]]]]> : tensor<1x1x2x1xf32>
  %rows = tfm.constant dense<[[[[3.0]]]]> : tensor<1x1x1x1xf32>
  %0 = kern.cache 0 %past least #tfm.dim<3> dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<capacity>, #tfm.dim<1>] : tensor<1x1x2x1xf32> to tensor<1x1x?x1xf32>
  %1 = tfm.kv_append %0 at #tfm.dim<2>, %rows : (tensor<1x1x?x1xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x?x1xf32>
  %2 = kern.cache_view 0 %1 dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<3>, #tfm.dim<1>] : tensor<1x1x?x1xf32> to tensor<1x1x3x1xf32>
  %3 = tfm.constant dense<[[[[1.0], [2.0], [3.0]]]]> : tensor<1x1x3x1xf32>
  check.expect_equal %2, %3 : tensor<1x1x3x1xf32>
  return
}

// RUN: permalloy-opt %s --check-interpret --split-input-file --verify-diagnostics -o /dev/null

tfm.weight @x : tensor<1x4x4xf32> = #tfm.seeded<1, 1.0>

func.func @test_longer_than_longest() {
  %x = tfm.get_weight @x : tensor<1x4x4xf32>
  %o = tfm.constant dense<[0, 3, 4]> : tensor<3xi64>
  // expected-error@+1 {{sequence 0 from 0 to 3 is longer than 2 or outside of 4 positions}}
  %r = tfm.attention %x, %x, %x offsets %o longest #tfm.dim<2> {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<1x4x4xf32>, tensor<1x4x4xf32>, tensor<1x4x4xf32>, tensor<3xi64>) -> tensor<1x4x4xf32>
  check.expect_equal %r, %x : tensor<1x4x4xf32>
  return
}

// -----

tfm.weight @x : tensor<1x4x4xf32> = #tfm.seeded<1, 1.0>

func.func @test_rows_left_over() {
  %x = tfm.get_weight @x : tensor<1x4x4xf32>
  %o = tfm.constant dense<[0, 2, 3]> : tensor<3xi64>
  // expected-error@+1 {{offsets do not go from 0 to 4}}
  %r = tfm.attention %x, %x, %x offsets %o longest #tfm.dim<2> {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<1x4x4xf32>, tensor<1x4x4xf32>, tensor<1x4x4xf32>, tensor<3xi64>) -> tensor<1x4x4xf32>
  check.expect_equal %r, %x : tensor<1x4x4xf32>
  return
}

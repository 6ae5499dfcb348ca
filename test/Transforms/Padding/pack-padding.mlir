// RUN: permalloy-opt %s --pack-padding | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(pack-padding,canonicalize,cse) idempotent rtol=1e-5 atol=1e-5" -o /dev/null
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(pack-padding) rtol=1e-5 atol=1e-5 seed=2 sizes=batch=5,seq=3;batch=1,seq=7" -o /dev/null
//
// Only real tokens are compared: every result here is 0 at padded positions before the pass, too.

tfm.weight @words : tensor<9x8xf32> = #tfm.seeded<1, 1.0>
tfm.weight @places : tensor<16x8xf32> = #tfm.seeded<2, 1.0>
tfm.weight @q : tensor<8x8xf32> = #tfm.seeded<3, 1.0>
tfm.weight @k : tensor<8x8xf32> = #tfm.seeded<4, 1.0>
tfm.weight @v : tensor<8x8xf32> = #tfm.seeded<5, 1.0>

// Embeddings of words and positions, attention, and a mean over the real tokens.
// CHECK-LABEL: func.func @encoder
// CHECK-SAME: tfm.padding = "1 attention without padding"
// CHECK: %[[COUNTS:.*]] = tfm.prefix_count %{{.*}} : (tensor<?x?xi1>) -> tensor<?xi64>
// CHECK: %[[LAST:.*]] = tfm.slice %[[COUNTS]] offsets [#tfm.dim<batch * seq>] sizes [#tfm.dim<1>]
// CHECK: %[[TOTAL:.*]] = tfm.binary max %[[LAST]]
// CHECK: tfm.bind_size "data:encoder.0" = %[[TOTAL]]
// CHECK: %[[STARTS:.*]] = tfm.gather %[[COUNTS]]
// CHECK: %[[OFFSETS:.*]] = tfm.concat %[[STARTS]], %[[TOTAL]]
// CHECK: tfm.gather %{{.*}} {axis = 0 : i64} : (tensor<9x8xf32>, tensor<1x?xi64>) -> tensor<1x?x8xf32>
// CHECK: %[[Q:.*]] = tfm.linear {{.*}} -> tensor<1x?x8xf32>
// CHECK: %[[A:.*]] = tfm.attention %[[Q]], %{{.*}}, %{{.*}} offsets %[[OFFSETS]] longest <seq>
// CHECK: %[[SUM:.*]] = tfm.binary add %[[A]], %{{.*}} : (tensor<1x?x8xf32>, tensor<1x?x8xf32>) -> tensor<1x?x8xf32>
// CHECK: tfm.select %{{.*}} : (tensor<?x?x1xi1>, tensor<?x?x8xf32>, tensor<f32>) -> tensor<?x?x8xf32>
// CHECK: tfm.reduce sum
func.func @encoder(%ids: tensor<?x?xi64> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>], tfm.test_range = [0, 9]},
                   %mask: tensor<?x?xi64> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>], tfm.test_range = [0, 2]}) -> (tensor<?x?x8xf32>, tensor<?x8xf32>) {
  %words = tfm.get_weight @words : tensor<9x8xf32>
  %places = tfm.get_weight @places : tensor<16x8xf32>
  %wq = tfm.get_weight @q : tensor<8x8xf32>
  %wk = tfm.get_weight @k : tensor<8x8xf32>
  %wv = tfm.get_weight @v : tensor<8x8xf32>
  %e = tfm.gather %words, %ids {axis = 0 : i64} : (tensor<9x8xf32>, tensor<?x?xi64>) -> tensor<?x?x8xf32>
  %p = tfm.slice %places offsets [#tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<seq>, #tfm.dim<8>] strides [1, 1] : (tensor<16x8xf32>) -> tensor<?x8xf32>
  %p1 = tfm.reshape %p dims [#tfm.dim<1>, #tfm.dim<seq>, #tfm.dim<8>] : (tensor<?x8xf32>) -> tensor<1x?x8xf32>
  %x = tfm.binary add %e, %p1 : (tensor<?x?x8xf32>, tensor<1x?x8xf32>) -> tensor<?x?x8xf32>
  %q = tfm.linear %x, %wq : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %k = tfm.linear %x, %wk : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %v = tfm.linear %x, %wv : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %real = tfm.cast %mask : (tensor<?x?xi64>) -> tensor<?x?xi1>
  %m = tfm.reshape %real dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>] : (tensor<?x?xi1>) -> tensor<?x1x1x?xi1>
  %a = tfm.attention %q, %k, %v mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x1x1x?xi1>) -> tensor<?x?x8xf32>
  %y = tfm.binary add %a, %x : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %f = tfm.cast %mask : (tensor<?x?xi64>) -> tensor<?x?xf32>
  %f3 = tfm.reshape %f dims [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<1>] : (tensor<?x?xf32>) -> tensor<?x?x1xf32>
  %kept = tfm.binary mul %y, %f3 : (tensor<?x?x8xf32>, tensor<?x?x1xf32>) -> tensor<?x?x8xf32>
  %sum = tfm.reduce sum %kept axes [1] : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  return %kept, %sum : tensor<?x?x8xf32>, tensor<?x8xf32>
}

// Numbers that are added to scores, causality, a residual stream that a position table broadcasts into, and a list of tokens.
// CHECK-LABEL: func.func @added
// CHECK-SAME: tfm.padding = "2 attentions without padding"
// CHECK: tfm.compare eq
// CHECK: tfm.attention {{.*}} offsets {{.*}} longest <seq> {causal
// CHECK: tfm.reshape %{{.*}} dims [#tfm.dim<"data:added.0">, #tfm.dim<8>] : (tensor<1x?x8xf32>) -> tensor<?x8xf32>
// CHECK: tfm.attention {{.*}} offsets {{.*}} longest <seq> {causal
// CHECK: tfm.select
func.func @added(%x: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<8>]},
                 %t: tensor<?x8xf32> {tfm.dims = [#tfm.dim<seq>, #tfm.dim<8>]}, %s: tensor<?x1x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<8>]},
                 %mask: tensor<?x?xi64> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>], tfm.test_range = [0, 2]}) -> tensor<?x?x8xf32> {
  %w = tfm.get_weight @q : tensor<8x8xf32>
  %one = tfm.constant dense<1.0> : tensor<f32>
  %low = tfm.constant dense<-3.40282347E+38> : tensor<f32>
  %zero = tfm.constant dense<0.0> : tensor<f32>
  %f = tfm.cast %mask : (tensor<?x?xi64>) -> tensor<?x?xf32>
  %f4 = tfm.reshape %f dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>] : (tensor<?x?xf32>) -> tensor<?x1x1x?xf32>
  %inverse = tfm.binary sub %one, %f4 : (tensor<f32>, tensor<?x1x1x?xf32>) -> tensor<?x1x1x?xf32>
  %m = tfm.binary mul %inverse, %low : (tensor<?x1x1x?xf32>, tensor<f32>) -> tensor<?x1x1x?xf32>
  %a = tfm.attention %x, %x, %x mask %m {causal, num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x1x1x?xf32>) -> tensor<?x?x8xf32>
  %b = tfm.binary add %a, %t : (tensor<?x?x8xf32>, tensor<?x8xf32>) -> tensor<?x?x8xf32>
  %c = tfm.binary add %b, %s : (tensor<?x?x8xf32>, tensor<?x1x8xf32>) -> tensor<?x?x8xf32>
  %list = tfm.reshape %c dims [#tfm.dim<batch * seq>, #tfm.dim<8>] : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  %l = tfm.linear %list, %w activation relu : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %grid = tfm.reshape %l dims [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<8>] : (tensor<?x8xf32>) -> tensor<?x?x8xf32>
  %d = tfm.attention %grid, %grid, %grid mask %m {causal, num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x1x1x?xf32>) -> tensor<?x?x8xf32>
  %keep = tfm.cast %mask : (tensor<?x?xi64>) -> tensor<?x?xi1>
  %keep3 = tfm.reshape %keep dims [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<1>] : (tensor<?x?xi1>) -> tensor<?x?x1xi1>
  %r = tfm.select %keep3, %d, %zero : (tensor<?x?x1xi1>, tensor<?x?x8xf32>, tensor<f32>) -> tensor<?x?x8xf32>
  return %r : tensor<?x?x8xf32>
}

// An unmasked mean mixes in what padded positions hold, which then has to be computed.
// CHECK-LABEL: func.func @unmasked_mean
// CHECK-SAME: tfm.padding = "0 attentions without padding; 1 left, first {{.*}}(reduce) mixes positions of the padding with others"
// CHECK-NOT: bind_size
// CHECK: tfm.attention {{.*}} mask
func.func @unmasked_mean(%x: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<8>]},
                         %mask: tensor<?x?xi64> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>], tfm.test_range = [0, 2]}) -> tensor<?x8xf32> {
  %real = tfm.cast %mask : (tensor<?x?xi64>) -> tensor<?x?xi1>
  %m = tfm.reshape %real dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>] : (tensor<?x?xi1>) -> tensor<?x1x1x?xi1>
  %a = tfm.attention %x, %x, %x mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x1x1x?xi1>) -> tensor<?x?x8xf32>
  %mean = tfm.reduce mean %a axes [1] : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  return %mean : tensor<?x8xf32>
}

// So does the inverse of the mask, which keeps nothing but padding.
// CHECK-LABEL: func.func @wrong_mask
// CHECK-SAME: tfm.padding = "0 attentions
func.func @wrong_mask(%x: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<8>]},
                      %mask: tensor<?x?xi64> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>], tfm.test_range = [0, 2]}) -> tensor<?x8xf32> {
  %real = tfm.cast %mask : (tensor<?x?xi64>) -> tensor<?x?xi1>
  %m = tfm.reshape %real dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>] : (tensor<?x?xi1>) -> tensor<?x1x1x?xi1>
  %a = tfm.attention %x, %x, %x mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x1x1x?xi1>) -> tensor<?x?x8xf32>
  %not = tfm.unary not %real : (tensor<?x?xi1>) -> tensor<?x?xi1>
  %f = tfm.cast %not : (tensor<?x?xi1>) -> tensor<?x?xf32>
  %f3 = tfm.reshape %f dims [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<1>] : (tensor<?x?xf32>) -> tensor<?x?x1xf32>
  %kept = tfm.binary mul %a, %f3 : (tensor<?x?x8xf32>, tensor<?x?x1xf32>) -> tensor<?x?x8xf32>
  %sum = tfm.reduce sum %kept axes [1] : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  return %sum : tensor<?x8xf32>
}

// A mask that differs by query, and a window, whose distances holes would change.
// CHECK-LABEL: func.func @by_query
// CHECK-SAME: its mask
// CHECK-NOT: bind_size
func.func @by_query(%x: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<8>]},
                    %m: tensor<?x1x?x?xi1> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<seq>, #tfm.dim<seq>]}) -> tensor<?x?x8xf32> {
  %a = tfm.attention %x, %x, %x mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x1x?x?xi1>) -> tensor<?x?x8xf32>
  return %a : tensor<?x?x8xf32>
}

// CHECK-LABEL: func.func @window
// CHECK-SAME: has a window
// CHECK-NOT: bind_size
func.func @window(%x: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<8>]},
                  %mask: tensor<?x?xi1> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>]}) -> tensor<?x?x8xf32> {
  %m = tfm.reshape %mask dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>] : (tensor<?x?xi1>) -> tensor<?x1x1x?xi1>
  %a = tfm.attention %x, %x, %x mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32, window_left = 1 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x1x1x?xi1>) -> tensor<?x?x8xf32>
  return %a : tensor<?x?x8xf32>
}

// Tuples that pick all positions bring padded ones to the mean; one for each sequence is a token.
// CHECK-LABEL: func.func @picks_all
// CHECK-SAME: tfm.padding = "0 attentions without padding; 1 left, first {{.*}}(gather_nd) mixes positions of the padding with others"
func.func @picks_all(%x: tensor<2x4x8xf32>, %mask: tensor<2x4xi1>) -> tensor<2x8xf32> {
  %i = tfm.constant dense<[[[0, 3], [0, 2], [0, 1], [0, 0]], [[1, 3], [1, 2], [1, 1], [1, 0]]]> : tensor<2x4x2xi64>
  %m = tfm.reshape %mask dims [#tfm.dim<2>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<4>] : (tensor<2x4xi1>) -> tensor<2x1x1x4xi1>
  %a = tfm.attention %x, %x, %x mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<2x4x8xf32>, tensor<2x4x8xf32>, tensor<2x4x8xf32>, tensor<2x1x1x4xi1>) -> tensor<2x4x8xf32>
  %g = tfm.gather_nd %a, %i {batch_dims = 0 : i64} : (tensor<2x4x8xf32>, tensor<2x4x2xi64>) -> tensor<2x4x8xf32>
  %r = tfm.reduce mean %g axes [1] : (tensor<2x4x8xf32>) -> tensor<2x8xf32>
  return %r : tensor<2x8xf32>
}

// CHECK-LABEL: func.func @picks_one
// CHECK-SAME: tfm.padding = "1 attention without padding"
func.func @picks_one(%x: tensor<2x4x8xf32>) -> tensor<2x8xf32> {
  %mask = tfm.constant dense<[[true, true, true, false], [true, false, false, false]]> : tensor<2x4xi1>
  %i = tfm.constant dense<[[0, 2], [1, 0]]> : tensor<2x2xi64>
  %m = tfm.reshape %mask dims [#tfm.dim<2>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<4>] : (tensor<2x4xi1>) -> tensor<2x1x1x4xi1>
  %a = tfm.attention %x, %x, %x mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<2x4x8xf32>, tensor<2x4x8xf32>, tensor<2x4x8xf32>, tensor<2x1x1x4xi1>) -> tensor<2x4x8xf32>
  %g = tfm.gather_nd %a, %i {batch_dims = 0 : i64} : (tensor<2x4x8xf32>, tensor<2x2xi64>) -> tensor<2x8xf32>
  return %g : tensor<2x8xf32>
}

// RUN: permalloy-opt %s --check-interpret -o /dev/null
// RUN: permalloy-opt %s --apply-dynamic-quantization --check-interpret -o /dev/null

// A layer of level w8a8 is within a percent of the layer; rows of zeros give the bias.
tfm.weight @w : tensor<256x32xf32> = #tfm.seeded<1, 0.02>
tfm.weight @x : tensor<6x256xf32> = #tfm.seeded<2, 1.0>
tfm.weight @b : tensor<32xf32> = #tfm.seeded<3, 0.02>

func.func @test_close() {
  %w = tfm.get_weight @w : tensor<256x32xf32>
  %x = tfm.get_weight @x : tensor<6x256xf32>
  %b = tfm.get_weight @b : tensor<32xf32>
  %0 = tfm.linear %x, %w bias %b {tfm.level = "w8a8"} : (tensor<6x256xf32>, tensor<256x32xf32>, tensor<32xf32>) -> tensor<6x32xf32>
  %1 = tfm.linear %x, %w bias %b : (tensor<6x256xf32>, tensor<256x32xf32>, tensor<32xf32>) -> tensor<6x32xf32>
  check.expect_close %0, %1 {rtol = 0.0 : f64, atol = 4.0e-03 : f64} : tensor<6x32xf32>
  return
}

func.func @test_zero_rows() {
  %w = tfm.get_weight @w : tensor<256x32xf32>
  %x = tfm.constant dense<0.0> : tensor<1x256xf32>
  %b = tfm.get_weight @b : tensor<32xf32>
  %0 = tfm.linear %x, %w bias %b {tfm.level = "w8a8"} : (tensor<1x256xf32>, tensor<256x32xf32>, tensor<32xf32>) -> tensor<1x32xf32>
  %e = tfm.reshape %b dims [#tfm.dim<1>, #tfm.dim<32>] : (tensor<32xf32>) -> tensor<1x32xf32>
  check.expect_equal %0, %e : tensor<1x32xf32>
  return
}

// One element of a row is 100 times the others: with its own product the layer is as close as without it.
func.func @test_outlier() {
  %w = tfm.get_weight @w : tensor<256x32xf32>
  %x = tfm.get_weight @x : tensor<6x256xf32>
  %mask = tfm.get_weight @mask : tensor<256xf32>
  %y = tfm.binary mul %x, %mask : (tensor<6x256xf32>, tensor<256xf32>) -> tensor<6x256xf32>
  %0 = tfm.linear %y, %w {tfm.level = "w8a8"} : (tensor<6x256xf32>, tensor<256x32xf32>) -> tensor<6x32xf32>
  %1 = tfm.linear %y, %w : (tensor<6x256xf32>, tensor<256x32xf32>) -> tensor<6x32xf32>
  check.expect_close %0, %1 {rtol = 0.0 : f64, atol = 1.5e-02 : f64} : tensor<6x32xf32>
  return
}
tfm.weight @mask : tensor<256xf32> {
  %one = tfm.constant dense<1.0> : tensor<255xf32>
  %large = tfm.constant dense<100.0> : tensor<1xf32>
  %0 = tfm.concat %one, %large {axis = 0 : i64} : (tensor<255xf32>, tensor<1xf32>) -> tensor<256xf32>
  tfm.yield %0 : tensor<256xf32>
}

// RUN: permalloy-opt %s --check-interpret -o /dev/null

func.func @test_of_i32() {
  %0 = tfm.constant dense<0> : tensor<i32>
  %1 = tfm.constant dense<5> : tensor<i32>
  %2 = tfm.constant dense<2> : tensor<i32>
  %r = tfm.range %0, %1, %2 : (tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<3xi32>
  %e = tfm.constant dense<[0, 2, 4]> : tensor<3xi32>
  check.expect_equal %r, %e : tensor<3xi32>
  return
}

func.func @test_of_i64() {
  %0 = tfm.constant dense<0> : tensor<i64>
  %1 = tfm.constant dense<5> : tensor<i64>
  %2 = tfm.constant dense<2> : tensor<i64>
  %r = tfm.range %0, %1, %2 : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<3xi64>
  %e = tfm.constant dense<[0, 2, 4]> : tensor<3xi64>
  check.expect_equal %r, %e : tensor<3xi64>
  return
}

func.func @test_of_f32() {
  %0 = tfm.constant dense<0.0> : tensor<f32>
  %1 = tfm.constant dense<5.0> : tensor<f32>
  %2 = tfm.constant dense<2.0> : tensor<f32>
  %r = tfm.range %0, %1, %2 : (tensor<f32>, tensor<f32>, tensor<f32>) -> tensor<3xf32>
  %e = tfm.constant dense<[0.0, 2.0, 4.0]> : tensor<3xf32>
  check.expect_equal %r, %e : tensor<3xf32>
  return
}

func.func @test_of_f64() {
  %0 = tfm.constant dense<0.0> : tensor<f64>
  %1 = tfm.constant dense<5.0> : tensor<f64>
  %2 = tfm.constant dense<2.0> : tensor<f64>
  %r = tfm.range %0, %1, %2 : (tensor<f64>, tensor<f64>, tensor<f64>) -> tensor<3xf64>
  %e = tfm.constant dense<[0.0, 2.0, 4.0]> : tensor<3xf64>
  check.expect_equal %r, %e : tensor<3xf64>
  return
}

func.func @test_downwards() {
  %0 = tfm.constant dense<5> : tensor<i64>
  %1 = tfm.constant dense<0> : tensor<i64>
  %2 = tfm.constant dense<-2> : tensor<i64>
  %r = tfm.range %0, %1, %2 : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<3xi64>
  %e = tfm.constant dense<[5, 3, 1]> : tensor<3xi64>
  check.expect_equal %r, %e : tensor<3xi64>
  return
}

func.func @test_nothing() {
  %0 = tfm.constant dense<3> : tensor<i64>
  %1 = tfm.constant dense<3> : tensor<i64>
  %2 = tfm.constant dense<1> : tensor<i64>
  %r = tfm.range %0, %1, %2 : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<0xi64>
  %e = tfm.constant dense<> : tensor<0xi64>
  check.expect_equal %r, %e : tensor<0xi64>
  return
}

func.func @test_wrong_way() {
  %0 = tfm.constant dense<0> : tensor<i64>
  %1 = tfm.constant dense<5> : tensor<i64>
  %2 = tfm.constant dense<-1> : tensor<i64>
  %r = tfm.range %0, %1, %2 : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<0xi64>
  %e = tfm.constant dense<> : tensor<0xi64>
  check.expect_equal %r, %e : tensor<0xi64>
  return
}

func.func @test_fraction() {
  %0 = tfm.constant dense<0.5> : tensor<f32>
  %1 = tfm.constant dense<2.25> : tensor<f32>
  %2 = tfm.constant dense<0.5> : tensor<f32>
  %r = tfm.range %0, %1, %2 : (tensor<f32>, tensor<f32>, tensor<f32>) -> tensor<4xf32>
  %e = tfm.constant dense<[0.5, 1.0, 1.5, 2.0]> : tensor<4xf32>
  check.expect_equal %r, %e : tensor<4xf32>
  return
}

func.func @test_resolved() {
  %0 = tfm.range from #tfm.dim<3> size #tfm.dim<4> step -2 : () -> tensor<4xi32>
  %1 = tfm.constant dense<[3, 1, -1, -3]> : tensor<4xi32>
  check.expect_equal %0, %1 : tensor<4xi32>
  return
}

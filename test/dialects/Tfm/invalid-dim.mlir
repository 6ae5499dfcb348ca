// RUN: permalloy-opt %s -split-input-file -verify-diagnostics

// Text that is no dimension expression.

// expected-error@+1 {{expected a dimension expression}}
func.func private @f(tensor<?xf32> {tfm.dims = [#tfm.dim<>]})

// -----

// expected-error@+1 {{expected a dimension expression}}
func.func private @f(tensor<?xf32> {tfm.dims = [#tfm.dim<a +>]})

// -----

// expected-error@+1 {{expected a dimension expression}}
func.func private @f(tensor<?xf32> {tfm.dims = [#tfm.dim<max(a)>]})

// -----

// expected-error@+1 {{expected a dimension expression}}
func.func private @f(tensor<?xf32> {tfm.dims = [#tfm.dim<a floordiv 0>]})

// -----

// expected-error@+1 {{expected '>'}}
func.func private @f(tensor<?xf32> {tfm.dims = [#tfm.dim<a - b>]})

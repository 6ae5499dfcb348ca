//===- Pch.cpp - owner of the precompiled header -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

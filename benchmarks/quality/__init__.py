# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Quality of compiled models on tasks that they were trained for."""

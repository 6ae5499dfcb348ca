# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The Python that has the packages of scripts/lock/requirements.txt: PERMALLOY_PYTHON if set, else .venv of this checkout,
# else .venv of the checkout that this git worktree belongs to, else the first Python 3 found that can import onnx.

set(PERMALLOY_PYTHON "" CACHE FILEPATH "Python with the packages of scripts/lock/requirements.txt (onnx, lit, numpy)")

# permalloy_python_has_onnx(result python)
function(permalloy_python_has_onnx result python)
  set(${result} FALSE PARENT_SCOPE)
  if(EXISTS "${python}")
    execute_process(COMMAND "${python}" -c "import importlib.util as u, sys; sys.exit(u.find_spec('onnx') is None)"
                    RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
    if(status EQUAL 0)
      set(${result} TRUE PARENT_SCOPE)
    endif()
  endif()
endfunction()

if(NOT PERMALLOY_PYTHON)
  set(candidates "${CMAKE_SOURCE_DIR}/.venv/bin/python")
  execute_process(COMMAND git rev-parse --path-format=absolute --git-common-dir WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
                  OUTPUT_VARIABLE git_dir OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(git_dir)
    list(APPEND candidates "${git_dir}/../.venv/bin/python")
  endif()
  find_package(Python3 QUIET COMPONENTS Interpreter)
  list(APPEND candidates "${Python3_EXECUTABLE}")
  foreach(candidate ${candidates})
    permalloy_python_has_onnx(found "${candidate}")
    if(found)
      set(PERMALLOY_PYTHON "${candidate}" CACHE FILEPATH "" FORCE)
      break()
    endif()
  endforeach()
endif()
permalloy_python_has_onnx(found "${PERMALLOY_PYTHON}")
if(NOT found)
  message(FATAL_ERROR "no Python with the onnx package found (tried PERMALLOY_PYTHON, .venv and python3); run scripts/setup, "
                      "or set -DPERMALLOY_PYTHON=/path/to/python")
endif()

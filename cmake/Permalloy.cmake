# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Flags and the two ways of adding a library: plain C++ (runtime side) and compiler side.

# -Wrestrict of GCC 12 is wrong about std::string (GCC bug 105651).
set(PERMALLOY_WARNINGS $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict> -Wall -Wextra -Wno-unused-parameter -Werror=return-type -Werror=switch)
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fno-strict-aliasing>)
if(PERMALLOY_ASAN)
  add_compile_options(-fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize=vptr)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(PERMALLOY_GUARD_SLOTS=1)
endif()
if(PERMALLOY_TSAN)
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  add_link_options(-fuse-ld=lld)
endif()

# permalloy_add_plain_library(Name SOURCE... [LINK lib...]): no LLVM, exceptions allowed inside.
function(permalloy_add_plain_library name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_compile_options(${name} PRIVATE ${PERMALLOY_WARNINGS} -fvisibility=hidden)
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
endfunction()

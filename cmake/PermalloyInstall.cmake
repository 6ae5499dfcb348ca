# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What `cmake --install` puts where. Components: `runtime` (the shared library), `development` (the C header, the CMake
# package and the pkg-config file), `tools` (permalloy, permalloy-opt, permalloy-lsp-server; they need LLVM's shared libraries
# where they were linked). `python` and `compiler` belong to the wheels (python/CMakeLists.txt).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS permalloy_runtime EXPORT PermalloyTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT development)
install(FILES ${PROJECT_SOURCE_DIR}/include/permalloy-c/permalloy.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/permalloy-c COMPONENT development)

# The package moves with its folder: every path in it is relative to the file that holds it.
set(PERMALLOY_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/Permalloy)
install(EXPORT PermalloyTargets NAMESPACE Permalloy:: DESTINATION ${PERMALLOY_PACKAGE_DIR} COMPONENT development)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/PermalloyConfig.cmake.in ${CMAKE_BINARY_DIR}/PermalloyConfig.cmake
  INSTALL_DESTINATION ${PERMALLOY_PACKAGE_DIR})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/PermalloyConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/PermalloyConfig.cmake ${CMAKE_BINARY_DIR}/PermalloyConfigVersion.cmake
  DESTINATION ${PERMALLOY_PACKAGE_DIR} COMPONENT development)

file(RELATIVE_PATH PERMALLOY_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" PERMALLOY_PC_PREFIX "${PERMALLOY_PC_PREFIX}")
configure_file(${CMAKE_CURRENT_LIST_DIR}/permalloy.pc.in ${CMAKE_BINARY_DIR}/permalloy.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/permalloy.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

if(PERMALLOY_BUILD_COMPILER AND NOT SKBUILD)
  install(TARGETS permalloy permalloy-opt permalloy-lsp-server RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)
endif()

# weft_layer(NAME SOURCES ... USES ... [PRIVATE_USES ...])
#
# One folder, one object library.  Include paths travel only along USES, so a
# wrong #include cannot compile: include/ is public and installed, internal/ is
# for the layers above, the folder itself (for *_internal.h) for nobody else.
function(weft_layer NAME)
  cmake_parse_arguments(A "" "" "SOURCES;USES;PRIVATE_USES" ${ARGN})
  add_library(${NAME} OBJECT ${A_SOURCES})
  target_include_directories(${NAME} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include
    ${CMAKE_CURRENT_SOURCE_DIR}/internal PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${NAME} PUBLIC ${A_USES} PRIVATE ${A_PRIVATE_USES})
  weft_warnings(${NAME})
endfunction()

function(weft_warnings NAME)
  target_compile_definitions(${NAME} PRIVATE _GNU_SOURCE)
  target_compile_options(${NAME} PRIVATE -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes
    $<$<BOOL:${WEFT_WERROR}>:-Werror>)
endfunction()

# weft_archive(): all layers in one static archive, what users link.
function(weft_archive)
  set(objects)
  foreach(layer ${WEFT_LAYERS})
    if(TARGET ${layer})
      list(APPEND objects $<TARGET_OBJECTS:${layer}>)
    endif()
  endforeach()
  if(NOT objects)
    return()
  endif()
  add_library(weft STATIC ${objects})
  target_link_libraries(weft PUBLIC PkgConfig::EVENT PkgConfig::PROTOBUF_C
    PRIVATE PkgConfig::EVENT_EXTRA PkgConfig::EVENT_OPENSSL PkgConfig::OPENSSL PkgConfig::YAJL Threads::Threads)
  foreach(dir core/base codec transport discovery balancer core/rpc)
    if(EXISTS ${CMAKE_SOURCE_DIR}/${dir}/include)
      target_include_directories(weft PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/${dir}/include>)
    endif()
  endforeach()
endfunction()

# weft_test(LAYER NAME [SOURCES ...] [USES ...]): test/<this folder>/NAME.c under
# cmocka.  It may see the public headers, and the private ones of LAYER (and of
# the layers below, whose internal/ headers LAYER itself may see).
function(weft_test LAYER NAME)
  cmake_parse_arguments(A "" "" "SOURCES;USES" ${ARGN})
  get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  add_executable(${NAME} ${NAME}.c ${A_SOURCES})
  get_target_property(private ${LAYER} SOURCE_DIR)
  target_include_directories(${NAME} PRIVATE ${CMAKE_SOURCE_DIR}/test/support ${private}
    $<TARGET_PROPERTY:${LAYER},INTERFACE_INCLUDE_DIRECTORIES>)
  get_target_property(uses ${LAYER} INTERFACE_LINK_LIBRARIES)
  foreach(use ${uses})
    if(use MATCHES "^weft_")
      target_include_directories(${NAME} PRIVATE $<TARGET_PROPERTY:${use},INTERFACE_INCLUDE_DIRECTORIES>)
    endif()
  endforeach()
  target_link_libraries(${NAME} PRIVATE weft PkgConfig::CMOCKA ${A_USES})
  weft_warnings(${NAME})
  add_test(NAME ${folder}/${NAME} COMMAND ${NAME})
  set_tests_properties(${folder}/${NAME} PROPERTIES TIMEOUT 120)
endfunction()

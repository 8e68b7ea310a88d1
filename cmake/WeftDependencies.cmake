# Third-party packages, each as an imported target PkgConfig::NAME.
#
# The installed package reads this file too.  PUBLIC ones are named by public
# headers; the others a program needs only to link the static library.
set(WEFT_PUBLIC_DEPENDENCIES
  EVENT=libevent_core
  PROTOBUF_C=libprotobuf-c)
set(WEFT_PRIVATE_DEPENDENCIES
  EVENT_EXTRA=libevent_extra
  EVENT_OPENSSL=libevent_openssl
  EVHTP=evhtp
  OPENSSL=openssl
  YAJL=yajl)

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(weft_find_dependencies)
  foreach(dependency ${ARGN})
    string(REPLACE "=" ";" pair ${dependency})
    list(POP_FRONT pair name module)
    if(NOT TARGET PkgConfig::${name})
      pkg_check_modules(${name} REQUIRED IMPORTED_TARGET GLOBAL ${module})
    endif()
  endforeach()
endfunction()

weft_find_dependencies(${WEFT_PUBLIC_DEPENDENCIES} ${WEFT_PRIVATE_DEPENDENCIES})

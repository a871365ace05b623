# shellcheck shell=bash
# kind's node image without Docker Hub: made of Go modules, Debian packages and kind's own files. The pitfalls
# are in ../README.md.

OFFLINE_DIR=$CLUSTER_DIR/offline

# Sets node_image.
build_node_image() {
  local k8s_part coredns_part pause_part containerd_part rootfs_part iptables_part
  [ "$(id -u)" = 0 ] || die "building the node image needs root (it unpacks a Debian system); CLUSTER_IMAGES=published takes the published one."
  need mmdebstrap:mmdebstrap jq:jq
  part_k8s
  make_part coredns_part coredns "$(key "$OFFLINE_DIR/coredns")" "1 minute" go_build offline/coredns ""
  make_part pause_part pause "$(key "$OFFLINE_DIR/pause")" "" go_build_file pause
  make_part containerd_part containerd "$CONTAINERD_VERSION" "2 minutes" go_install "-X github.com/containerd/containerd/v2/version.Version=v$CONTAINERD_VERSION" \
    "github.com/containerd/containerd/v2/cmd/"{containerd,containerd-shim-runc-v2,ctr}"@v$CONTAINERD_VERSION"
  make_part rootfs_part node-rootfs "$(key "$(declare -f node_rootfs debian)" "$DEBIAN_SUITE")" "1 minute" node_rootfs
  make_part iptables_part node-iptables "$(key "$(declare -f node_iptables debian)" "$DEBIAN_SUITE")" "" node_iptables
  make_image node_image node "$KUBERNETES_VERSION-$(node_key)" "1 minute" node_from_parts
}

node_key() {
  key "$OFFLINE_DIR/node" "$OFFLINE_DIR/node-image.sh" "${k8s_part##*/}" "${coredns_part##*/}" "${pause_part##*/}" \
    "${containerd_part##*/}" "${rootfs_part##*/}" "${iptables_part##*/}" "$KIND_VERSION"
}

go_build_file() {
  CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$1" "$OFFLINE_DIR/$1/main.go"
}

# What kind's own base image installs, and runc and the CNI plugins, which it
# builds. (A runc built without cgo would lack seccomp.)
node_rootfs() {
  local packages=systemd,systemd-sysv,iproute2,iptables,nftables,kmod,conntrack,ethtool,socat,procps,mount,util-linux
  packages+=,runc,containernetworking-plugins,ca-certificates,jq,curl,e2fsprogs,pigz
  debian minbase $packages rootfs.tar \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*'
}

# What kube-proxy and the pod network call, with every library: iptables loads
# its extensions, and they libraries of their own, only when a rule asks for them.
node_iptables() {
  local name
  debian extract dash,coreutils,iproute2,iptables packages.tar
  mkdir -p root/usr/sbin
  for name in iptables ip6tables; do
    # Packages are unpacked but not set up, so these links are not made.
    ln -s xtables-nft-multi "root/usr/sbin/$name"
    ln -s xtables-nft-multi "root/usr/sbin/$name-save"
    ln -s xtables-nft-multi "root/usr/sbin/$name-restore"
  done
  tar --extract --file packages.tar --directory root --exclude './dev/*'
  rm packages.tar
  layer_of root layer.tar
  rm -rf root
}

node_from_parts() {
  rootfs=$PWD/rootfs
  mkdir rootfs
  tar --extract --file "$rootfs_part/rootfs.tar" --directory rootfs --numeric-owner --exclude './dev/*'
  add_kind_files
  add_node_programs
  add_node_manifests
  add_system_images
  tar --create --file rootfs.tar --directory rootfs --numeric-owner --sort=name .
  rm -rf rootfs
  add_image image "$1" '{
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "container=docker"],
    "Entrypoint": ["/usr/local/bin/entrypoint-unprivileged", "/usr/local/bin/entrypoint", "/sbin/init"],
    "StopSignal": "SIGRTMIN+3"}' rootfs.tar
  tar --create --directory image . | docker load
}

# The files of kind's base image and what its Dockerfile does to Debian's services.
add_kind_files() {
  local module files unit units=etc/systemd/system
  module=$(go mod download -json "sigs.k8s.io/kind@v$KIND_VERSION" | jq --raw-output .Dir)
  files=$module/images/base/files
  cp --recursive --no-preserve=mode,ownership --no-target-directory "$files/etc" rootfs/etc
  mkdir -p rootfs/kind/bin rootfs/kind/manifests rootfs/etc/kubernetes/manifests
  install -m 755 "$files"/kind/bin/* rootfs/kind/bin/
  install -m 755 "$files"/usr/local/bin/* "$OFFLINE_DIR/node/entrypoint-unprivileged" rootfs/usr/local/bin/

  find rootfs/lib/systemd/system/sysinit.target.wants/ -name systemd-tmpfiles-setup.service -delete
  rm -f rootfs/lib/systemd/system/{multi-user,local-fs,basic}.target.wants/* rootfs/$units/*.wants/* \
    rootfs/lib/systemd/system/sockets.target.wants/*{udev,initctl}*
  echo "ReadKMsg=no" >>rootfs/etc/systemd/journald.conf
  ln -sf /dev/null rootfs/$units/systemd-binfmt.service
  mkdir -p rootfs/$units/multi-user.target.wants
  for unit in kubelet containerd undo-mount-hacks; do
    ln -s "/$units/$unit.service" "rootfs/$units/multi-user.target.wants/$unit.service"
  done
}

add_node_programs() {
  local name
  install -m 755 "$k8s_part/k8s" rootfs/usr/bin/
  for name in kubelet kubeadm kubectl; do
    ln -s k8s "rootfs/usr/bin/$name"
  done
  install -m 755 "$containerd_part"/* rootfs/usr/local/bin/
  mkdir -p rootfs/opt/cni/bin
  cp rootfs/usr/lib/cni/{host-local,loopback,portmap,ptp} rootfs/opt/cni/bin/
  # As in kind's Dockerfile: every container sees the node's made-up product name and number.
  "$containerd_part/ctr" oci spec |
    jq '.hooks.createContainer += [{path: "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' >rootfs/etc/containerd/cri-base.json
  # A process may not lower its oom_score_adj without CAP_SYS_RESOURCE, and need not here.
  sed -i -e "s#sandbox_image = .*#sandbox_image = \"$(system_image pause)\"#" \
    -e 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' rootfs/etc/containerd/config.toml
}

add_node_manifests() {
  # kind reads the version of Kubernetes from this file.
  printf 'v%s' "$KUBERNETES_VERSION" >rootfs/kind/version
  cp "$OFFLINE_DIR/node/default-storage.yaml" rootfs/kind/manifests/
  sed "s#@KUBE_PROXY_IMAGE@#$(system_image kube-proxy)#" "$OFFLINE_DIR/node/default-cni.yaml" >rootfs/kind/manifests/default-cni.yaml
}

# system_image NAME: the reference under which kubeadm asks for an image
system_image() {
  "$k8s_part/k8s" kubeadm config images list --kubernetes-version "v$KUBERNETES_VERSION" | grep "/$1:"
}

# The images of the control plane, in containerd's store under /var, not unpacked
# (a node does that when it starts). The programs of Kubernetes share one layer.
add_system_images() {
  local name program path='{"Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}'
  mkdir -p k8s/usr/local/bin k8s/tmp
  cp "$k8s_part/k8s" k8s/usr/local/bin/
  for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy etcd kubectl; do
    ln -s k8s "k8s/usr/local/bin/$name"
  done
  layer_of k8s k8s.tar
  for name in kube-apiserver kube-controller-manager kube-scheduler etcd; do
    add_image system "$(system_image $name)" "$path" k8s.tar
  done
  cp "$iptables_part/layer.tar" iptables.tar
  add_image system "$(system_image kube-proxy)" "$path" iptables.tar k8s.tar
  for program in "$coredns_part/coredns" "$pause_part/pause"; do
    name=${program##*/}
    mkdir "$name"
    cp "$program" "$name/"
    layer_of "$name" "$name.tar"
    add_image system "$(system_image "$name")" "{\"Entrypoint\": [\"/$name\"]}" "$name.tar"
  done
  tar --create --file system.tar --directory system .
  import_into_rootfs system.tar
  rm -rf system system.tar k8s k8s.tar iptables.tar
}

# import_into_rootfs ARCHIVE: by a containerd of our own that keeps its content in the node's file system
import_into_rootfs() {
  local state containerd
  state=$(mktemp -d) # short, for the socket's path
  cat >containerd.toml <<END
version = 3
root = "$rootfs/var/lib/containerd"
state = "$state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]
[grpc]
  address = "$state/socket"
END
  "$containerd_part/containerd" --config containerd.toml &
  containerd=$!
  trap 'kill $containerd 2>/dev/null' EXIT
  retry 20 "$containerd_part/ctr" --address "$state/socket" version
  "$containerd_part/ctr" --address "$state/socket" --namespace k8s.io images import \
    --label io.cri-containerd.pinned=pinned --all-platforms --no-unpack --digests "$1"
  trap - EXIT
  kill $containerd
  wait $containerd || true
  rm -rf "$state"
}

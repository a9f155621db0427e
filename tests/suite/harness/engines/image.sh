# shellcheck shell=sh
# Makes rootfs/, a root directory with busybox, and image.tar, the same as an image of the name nsx-box:1.
mkdir -p rootfs/bin rootfs/proc rootfs/sys rootfs/dev rootfs/etc rootfs/tmp rootfs/run rootfs/usr
cp "$(command -v busybox)" rootfs/bin/busybox
for name in sh sleep ls cat id httpd; do ln -s busybox "rootfs/bin/$name"; done
echo 'root:x:0:0:root:/:/bin/sh' >rootfs/etc/passwd
echo 'root:x:0:' >rootfs/etc/group
echo 'ID=nsx-box' >rootfs/etc/os-release
mkdir image
busybox tar -C rootfs -c -f image/layer.tar .
sum=$(sha256sum image/layer.tar | cut -c1-64)
case $(uname -m) in
x86_64) machine=amd64 ;;
aarch64) machine=arm64 ;;
*) machine=$(uname -m) ;;
esac
printf '{"architecture":"%s","os":"linux",' "$machine" >image/config
printf '"config":{"Env":["PATH=/bin"],"Labels":{"from":"image"}},' >>image/config
printf '"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[]}' "$sum" >>image/config
config=$(sha256sum image/config | cut -c1-64).json
mv image/config "image/$config"
printf '[{"Config":"%s","RepoTags":["nsx-box:1"],"Layers":["layer.tar"]}]' "$config" >image/manifest.json
busybox tar -C image -c -f image.tar "$config" manifest.json layer.tar
rm -r image

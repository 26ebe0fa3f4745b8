#!/bin/sh
# Collects the files of an image: Node, the libraries that it loads, the roots of TLS, and the app.
#
#   collect.sh APP TARGET
set -eu
app=$1
target=$2
node=$(command -v node)

mkdir -p "$target/app" "$target/usr/local/bin" "$target/etc/ssl/certs" "$target/tmp" "$target/data"
cp -a "$app/." "$target/app/"
cp deploy/container/healthcheck.js "$target/app/"
# Builds of sodium-native for other platforms.
machine=$(node -p 'process.platform + "-" + process.arch')
find "$target/app" -path '*/prebuilds/*' -mindepth 1 -type d ! -name "$machine" -prune -exec rm -rf {} +
cp -L "$node" "$target/usr/local/bin/node"
strip --strip-unneeded "$target/usr/local/bin/node"
# Node's own libraries, the loader that the binary names, and those that look up names and users.
ldd "$node" | awk '/=> \// { print $3 } /^[[:space:]]*\/lib/ { print $1 }' | while read -r library; do
  mkdir -p "$target$(dirname "$library")"
  cp -L "$library" "$target$library"
done
cp -L /etc/ssl/certs/ca-certificates.crt "$target/etc/ssl/certs/"
echo 'sealog:x:10001:10001::/data:/sbin/nologin' > "$target/etc/passwd"
echo 'sealog:x:10001:' > "$target/etc/group"
echo 'hosts: files dns' > "$target/etc/nsswitch.conf"
chmod 1777 "$target/tmp"
chown 10001:10001 "$target/data"

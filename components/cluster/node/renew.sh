#!/bin/sh
# K3s' certificates last a year, and K3s renews them at its start alone, those with less than 120 days left. So where nobody has
# made a node anew for nine months, K3s is started once more. Pods run on meanwhile. Runs every night, on each server at another
# hour, and not beside a server whose etcd is not well: two of three must stay.
set -eu
k3s=${TRIVET_ROOT:-}/var/lib/rancher/k3s
unit=$1
ninety_days=7776000

expiring() {
  for certificate in "$k3s"/server/tls/*.crt "$k3s"/server/tls/etcd/*.crt "$k3s"/agent/*.crt; do
    case $certificate in
    *-ca.crt | *-ca.nochain.crt) ;; # ten years; nothing that is started again renews these
    *)
      if [ -e "$certificate" ] && ! openssl x509 -noout -checkend $ninety_days -in "$certificate" >/dev/null; then
        echo "$certificate"
        return 0
      fi
      ;;
    esac
  done
  return 1
}

if ! found=$(expiring); then
  exit 0
fi
if [ "$unit" = k3s ]; then
  members=$(k3s kubectl get nodes --selector node-role.kubernetes.io/etcd=true --output \
    'jsonpath={range .items[*]}{.status.conditions[?(@.type=="EtcdIsVoter")].status}{"\n"}{end}')
  if [ -z "$members" ] || echo "$members" | grep -qvx True; then
    echo "trivet: $found ends within 90 days; K3s is started again once every server's etcd is well"
    exit 0
  fi
fi
echo "trivet: $found ends within 90 days: starting K3s again, which renews it"
systemctl restart --no-block "$unit"

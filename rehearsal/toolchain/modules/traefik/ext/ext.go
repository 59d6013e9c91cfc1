// Package ext stands where Traefik's own repository has an extension point with nothing in it. The published module
// lacks the folder (it is a module of its own there), so it is written here as it is: two structs without fields.
package ext

// HTTP is embedded in the dynamic HTTP configuration.
// +k8s:deepcopy-gen=true
type HTTP struct{}

// Router is embedded in a dynamic HTTP router.
// +k8s:deepcopy-gen=true
type Router struct{}

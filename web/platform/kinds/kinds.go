// Package kinds lists the kinds of platform there are: the one place that names them all. It may only put them together.
package kinds

import (
	"fmt"
	"strings"

	"offrecord/web/platform"
	"offrecord/web/platform/cxone"
	"offrecord/web/platform/eightbyeight"
	"offrecord/web/platform/upstream"
	"offrecord/web/platform/vonage"
)

// Kind is one kind of platform.
type Kind struct {
	// Name is the kind's name in the configuration.
	Name string
	// Open makes a platform's server route. It calls fill with a pointer to the kind's own Settings.
	Open func(fill func(settings any) error, o upstream.Options) (platform.Server, error)
}

// All are the kinds. A new one is its package and a line here.
func All() []Kind {
	return []Kind{
		kind("8x8", eightbyeight.New),
		kind("vonage", vonage.New),
		kind("cxone", cxone.New),
	}
}

// Named is the kind with a name.
func Named(name string) (Kind, error) {
	var names []string
	for _, k := range All() {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return Kind{}, fmt.Errorf("unknown kind %q: use %s", name, strings.Join(names, ", "))
}

func kind[Settings any, Server platform.Server](name string, open func(Settings, upstream.Options) (Server, error)) Kind {
	return Kind{name, func(fill func(any) error, o upstream.Options) (platform.Server, error) {
		var settings Settings
		if err := fill(&settings); err != nil {
			return nil, err
		}
		server, err := open(settings, o)
		if err != nil {
			return nil, err // not the nil *Server in an interface
		}
		return server, nil
	}}
}

//go:build js && wasm

package main

import (
	"strings"

	"github.com/hack-pad/safejs"
)

// The store is localStorage. Where it is full, an attempt that the server hasn't heard of is held in memory only.

func (p *page) storage() safejs.Value { return get(p.window, "localStorage") }

// Keep implements session.Browser.
func (p *page) Keep(key, value string) { _, _ = p.storage().Call("setItem", key, value) }

// Forget implements session.Browser.
func (p *page) Forget(key string) { _, _ = p.storage().Call("removeItem", key) }

// Kept implements session.Browser.
func (p *page) Kept(prefix string) map[string]string {
	kept := map[string]string{}
	storage := p.storage()
	for i := range max(0, number(get(storage, "length"))) {
		name, err := storage.Call("key", i)
		if err != nil {
			continue
		}
		if key := text(name); strings.HasPrefix(key, prefix) {
			if value, err := storage.Call("getItem", key); err == nil {
				kept[key] = text(value)
			}
		}
	}
	return kept
}

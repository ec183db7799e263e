//go:build js && wasm

package main

import (
	"context"
	"errors"

	"github.com/hack-pad/safejs"
)

// get reads a property of an object that may belong to another origin. Reading it directly would end the program where the
// browser throws, because only calls are caught.
func get(v safejs.Value, property string) safejs.Value {
	reflect, err := safejs.Global().Get("Reflect")
	if err != nil {
		return safejs.Undefined()
	}
	got, err := reflect.Call("get", v, property)
	if err != nil {
		return safejs.Undefined()
	}
	return got
}

// text is a value as a string, empty if it is none.
func text(v safejs.Value) string {
	if v.Type() != safejs.TypeString {
		return ""
	}
	s, _ := v.String()
	return s
}

func truthy(v safejs.Value) bool {
	yes, err := v.Truthy()
	return err == nil && yes
}

// number is a value as an int, or -1.
func number(v safejs.Value) int {
	if v.Type() != safejs.TypeNumber {
		return -1
	}
	n, err := v.Int()
	if err != nil {
		return -1
	}
	return n
}

// on listens for an event until off is called, which lets the function go.
func on(target safejs.Value, event string, handle func(event safejs.Value)) (off func()) {
	f, err := safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		if len(args) > 0 {
			handle(args[0])
		}
		return nil
	})
	if err != nil {
		return func() {}
	}
	if _, err := target.Call("addEventListener", event, f); err != nil {
		f.Release()
		return func() {}
	}
	gone := false
	return func() {
		if gone {
			return
		}
		gone = true
		_, _ = target.Call("removeEventListener", event, f)
		f.Release()
	}
}

// afterwards calls do when the page has nothing else to do, in a task of its own.
func (p *page) afterwards(do func()) {
	var f safejs.Func
	f, err := safejs.FuncOf(func(safejs.Value, []safejs.Value) any {
		f.Release()
		do()
		return nil
	})
	if err != nil {
		return
	}
	if _, err = p.window.Call("requestIdleCallback", f, map[string]any{"timeout": 100}); err != nil { // not in every browser
		_, _ = p.window.Call("setTimeout", f, 0)
	}
}

// await waits for a promise. If ctx ends first, the promise's functions are let go when it settles.
func await(ctx context.Context, promise safejs.Value) (safejs.Value, error) {
	type settled struct {
		value safejs.Value
		err   error
	}
	done := make(chan settled, 1)
	var then, fail safejs.Func
	settle := func(s settled) {
		then.Release()
		fail.Release()
		done <- s
	}
	first := func(args []safejs.Value) safejs.Value {
		if len(args) == 0 {
			return safejs.Undefined()
		}
		return args[0]
	}
	then, err := safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		settle(settled{value: first(args)})
		return nil
	})
	if err != nil {
		return safejs.Undefined(), err
	}
	fail, err = safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		settle(settled{err: reason(first(args))})
		return nil
	})
	if err != nil {
		then.Release()
		return safejs.Undefined(), err
	}
	if _, err := promise.Call("then", then, fail); err != nil {
		then.Release()
		fail.Release()
		return safejs.Undefined(), err
	}
	select {
	case <-ctx.Done():
		return safejs.Undefined(), ctx.Err()
	case s := <-done:
		return s.value, s.err
	}
}

var errTimeout = errors.New("it took too long")

// reason is why a promise was rejected.
func reason(v safejs.Value) error {
	switch text(get(v, "name")) {
	case "TimeoutError", "AbortError":
		return errTimeout
	}
	if message := text(get(v, "message")); message != "" {
		return errors.New(message)
	}
	return errors.New("the browser gave no reason")
}

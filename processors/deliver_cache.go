package processors

import (
	"container/list"
	"sync"

	"auscult/schemas"
)

// Limits of what Deliver remembers of the server.
const (
	maxCachedResources = 20_000
	maxCachedBytes     = 32 << 20
	// maxCachedBody keeps one long series from pushing everything else out.
	maxCachedBody = 256 << 10
)

// heldResource is a resource as Deliver knows it to be on the server.
type heldResource struct {
	Stored
	// order is the highest that this process has brought for it, whether it had
	// to be written for it or not.
	order schemas.Order
}

// there reports whether the server has the resource.
func (h heldResource) there() bool { return h.ID != "" && !h.Gone }

// storedCache remembers resources with their versions, the latest used ones.
type storedCache struct {
	mu    sync.Mutex
	byKey map[string]*list.Element
	order *list.List // front = used last
	bytes int
}

type cachedResource struct {
	key string
	h   heldResource
}

func newStoredCache() *storedCache {
	return &storedCache{byKey: map[string]*list.Element{}, order: list.New()}
}

func (c *storedCache) get(key string) (heldResource, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return heldResource{}, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cachedResource).h, true
}

// put remembers a resource. One without a version is not worth it: writing over
// it could not be made safe.
func (c *storedCache) put(key string, h heldResource) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key)
	if h.Version == "" || len(h.JSON) > maxCachedBody {
		return
	}
	c.byKey[key] = c.order.PushFront(&cachedResource{key, h})
	c.bytes += len(h.JSON)
	for len(c.byKey) > maxCachedResources || c.bytes > maxCachedBytes {
		c.drop(c.order.Back().Value.(*cachedResource).key)
	}
}

// brought notes the order of a record that said what is stored already.
func (c *storedCache) brought(key string, order schemas.Order) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[key]; e != nil {
		if h := &e.Value.(*cachedResource).h; order.Above(h.order) {
			h.order = order
		}
	}
}

func (c *storedCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.byKey)
	c.order.Init()
	c.bytes = 0
}

func (c *storedCache) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key)
}

func (c *storedCache) drop(key string) {
	if e := c.byKey[key]; e != nil {
		c.bytes -= len(e.Value.(*cachedResource).h.JSON)
		c.order.Remove(e)
		delete(c.byKey, key)
	}
}

// Shows a banner in an element, and tells the server when the customer has seen it and when they put it away.
// A record's `html` is safe: paragraphs, lists, emphasis and links to the company's own hosts, nothing else (docs/contract.md).
'use strict'

function showBanner (place, banner, dismiss) {
  const box = document.createElement('section')
  box.className = 'banner ' + banner.severity
  box.lang = banner.locale
  box.dir = banner.dir
  box.setAttribute('aria-labelledby', 'banner-title')
  const title = document.createElement('h2')
  title.id = 'banner-title'
  title.textContent = banner.title
  const text = document.createElement('div')
  text.innerHTML = banner.html
  box.append(title, text)
  if (dismiss) {
    const button = document.createElement('button')
    button.type = 'button'
    button.textContent = '×'
    button.setAttribute('aria-label', 'Put this message away') // YOURS: in the customer's language
    button.lang = 'en'
    button.addEventListener('click', () => { box.remove(); dismiss() })
    box.append(button)
  }
  place.replaceChildren(box)
  return box
}

// Seen: half of it was in the window for a second, and the window was in front.
function onceSeen (box, seen) {
  let timer
  const watch = new IntersectionObserver(([entry]) => {
    clearTimeout(timer)
    if (!entry.isIntersecting) return
    timer = setTimeout(() => {
      if (document.visibilityState !== 'visible') return
      watch.disconnect()
      seen()
    }, 1000)
  }, { threshold: 0.5 })
  watch.observe(box)
  document.addEventListener('visibilitychange', () => { watch.unobserve(box); watch.observe(box) })
}

const tell = what => fetch('/banner/' + what, { method: 'POST', keepalive: true })

async function signedIn (place) {
  const banner = await (await fetch('/banner')).json()
  if (banner) onceSeen(showBanner(place, banner, () => tell('dismissed')), () => tell('seen'))
}

// On the login page nothing is reported: anybody may have typed that login.
async function typing (place, input) {
  const banner = await (await fetch('/login-banner', { method: 'POST', body: input.value })).json()
  if (banner) showBanner(place, banner)
  else place.replaceChildren()
}

addEventListener('DOMContentLoaded', () => {
  const place = document.getElementById('banner')
  const input = document.getElementById('login')
  if (input) input.addEventListener('change', () => typing(place, input))
  else signedIn(place)
})

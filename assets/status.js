// Keeps the page of the gateway up to date. Without it the page reloads itself.
const main = document.querySelector('main')
const link = document.getElementById('link')
const RETRY_MS = 10_000
// The gateway's clock counts, not the browser's.
const skewMs = Date.now() - Number(main.dataset.now)

function duration(ms) {
	const seconds = Math.max(0, Math.floor(ms / 1000))
	if (seconds < 60) return `${seconds} s`
	if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
	if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`
	return `${Math.floor(seconds / 86_400)} d`
}

function wordTimes() {
	const now = Date.now() - skewMs
	for (const element of document.getElementsByTagName('time')) {
		const at = Date.parse(element.dateTime)
		const text = element.className === 'left' ? `${duration(at - now)} left` : `${duration(now - at)} ago`
		if (element.textContent !== text) element.textContent = text
	}
}

function say(text) {
	link.hidden = text === ''
	if (link.textContent !== text) link.textContent = text
}

function listen() {
	const source = new EventSource(`events${location.search}`)
	source.onopen = () => say('')
	source.onmessage = ({ data }) => {
		for (const [id, markup] of Object.entries(JSON.parse(data))) {
			const section = document.getElementById(id)
			if (section.innerHTML !== markup) section.innerHTML = markup
		}
		wordTimes()
	}
	source.onerror = () => {
		say('Not live: the gateway does not answer')
		// CONNECTING: the browser tries again by itself. CLOSED: it was refused, and does not.
		if (source.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS)
	}
}

setInterval(wordTimes, 1000)
listen()

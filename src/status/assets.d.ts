/** Embedded by `with { type: 'text' }`. */
declare module '*/status.css' {
	const text: string
	export default text
}

declare module '*/status.js' {
	const text: string
	export default text
}
